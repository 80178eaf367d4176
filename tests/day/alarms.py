"""Which alerts a day gives reason for: its figures, moved to the times of the day, under the rules of ``deploy/``.

The day is played in minutes, and servers in Go do not share its clock, so ``for: 5m`` means nothing to the Prometheus
that records it. So what it recorded is moved: each sample to the time that the day's clock showed when it was scraped,
and each time among the figures too. Over the hours that the day jumps over, a figure stays as it was. That is an
assumption; it makes troubles longer, never shorter. Then promtool's own engine lets the rules see the day, minute by
minute.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Collection, Mapping
from itertools import groupby
from pathlib import Path
from typing import Final

from tests.day.scraped import Series
from tests.day.services import DEPLOYED, program
from tests.day.wall import Wall

STEP_S: Final = 60
AT_ONCE: Final = frozenset({
    "FailoverFailed", "FailoverLatencyHigh", "LineFlapping", "RateLimitSpike", "RecordsRejected", "RunbookFailed",
    "T5Missed", "TicksDropped",
})  # fmt: skip
"""Alerts that wait for nothing (no ``for:``), and so fire in the Prometheus that records the day too."""
SMALL: Final = {"ctp": 0.1}
"""Ticks a second of a feed with five contracts."""
_STALE_S: Final = 5.0
"""Ten scrapes: a series without a sample for so long has ended, and a target is down that answered none of them."""
_MACHINE_TIMES: Final = frozenset({"push_time_seconds"})
_DAY_TIMES: Final = frozenset({"md_runbook_last_success_timestamp_seconds", "md_gateway_epoch_seconds"})
_YESTERDAY: Final = 'md_runbook_last_success_timestamp_seconds{command="stop", window="day", gateway="day"}'
"""The stop of the day before: no gateway is missed before the first start."""
_NS: Final = 1_000_000_000


class Alarms:
    """Of one day, which has been recorded."""

    def __init__(self, wall: Wall, series: Collection[Series], directory: Path) -> None:
        rules = "".join(path.read_text(encoding="utf-8") for path in (DEPLOYED / "rules").glob("*.yml"))
        asked = set(re.findall(r"\b(?:up|push_time_seconds|(?:md|feed|consumer)_[a-z0-9_]+)\b", rules))
        self._wall, self._directory = wall, directory
        self._series = [_patient(one) if one.name == "up" else one for one in series if one.name in asked]
        self._begins = wall.begins.timestamp()
        last = max(at for one in series for at, _ in one.samples)
        self._steps = int((self._day(last) - self._begins) // STEP_S)

    def fired(self, thresholds: Mapping[str, float]) -> set[str]:
        """The alerts that fired at some time of the day, as ``NAME LABEL=VALUE …``.

        ``thresholds``: feed → ticks a second, for feeds smaller than the operators' own.
        """
        rows = [(f"{one.name}{_labels(one.labels)}", self._values(one)) for one in self._series]
        rows.append((_YESTERDAY, f"{-6 * 3600}x{self._steps}"))
        for feed, rate in thresholds.items():
            rows.append((f'threshold:md_throughput_mps:min{{feed="{feed}"}}', f"{rate}x{self._steps}"))
        labels = "alertname, feed, account, kind, command, job, session, reason"
        firing = f'ALERTS{{alertstate="firing", severity!="none"}}[{self._steps * STEP_S}s]'
        document = {
            "rule_files": [str(DEPLOYED / "rules" / "*.yml")],
            "evaluation_interval": f"{STEP_S}s",
            "tests": [
                {
                    "interval": f"{STEP_S}s",
                    "input_series": [{"series": name, "values": values} for name, values in rows],
                    "promql_expr_test": [
                        {
                            "expr": f"group by ({labels}) (count_over_time({firing}))",
                            "eval_time": f"{self._steps * STEP_S}s",
                            "exp_samples": [{"labels": '{alertname="none"}', "value": 1}],
                        }
                    ],
                }
            ],
        }
        path = self._directory / "day_of_alerts.yml"
        path.write_text(json.dumps(document, indent=1))  # YAML as well
        words = [program("promtool"), "test", "rules", str(path)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        found = re.search(r"^\s*got: ?(.*)$", said, re.MULTILINE)
        assert found, said
        return {_plain(one) for one in re.findall(r"\{([^}]*)\} 1E\+00", found[1])}

    def _day(self, real_s: float) -> float:
        return self._wall.then(round(real_s * _NS)) / _NS

    def _values(self, series: Series) -> str:
        """At each minute of the day, in promtool's words: a value, ``stale`` at its end, ``_`` where there is none."""
        shift = self._shift(series.name)
        values, place = [], -1
        for step in range(self._steps + 1):
            real = self._wall.real(round((self._begins + step * STEP_S) * _NS)) / _NS
            while place + 1 < len(series.samples) and series.samples[place + 1][0] <= real:
                place += 1
            there = place >= 0 and real - series.samples[place][0] <= _STALE_S
            values.append(f"{shift(series.samples[place][1]):.6f}" if there else "_")
        words: list[str] = []
        for value, run in groupby(values):
            count = len(list(run))
            if value == "_" and words:
                words.append("stale")
                count -= 1
            if count:
                words.append(f"{value}x{count - 1}" if value != "_" else f"_x{count}")
        return " ".join(words)

    def _shift(self, name: str) -> Callable[[float], float]:
        if name in _MACHINE_TIMES:
            return lambda value: self._day(value) - self._begins
        if name in _DAY_TIMES:
            return lambda value: value - self._begins
        return lambda value: value


def _patient(up: Series) -> Series:
    """A scrape that a busy machine did not finish within its half second is no news, and must not be held for hours."""
    answered, made = float("-inf"), []
    for at, value in up.samples:
        answered = at if value else answered
        made.append((at, float(at - answered <= _STALE_S)))
    return Series(up.name, up.labels, made)


def _labels(labels: Mapping[str, str]) -> str:
    inside = ", ".join(f"{name}={json.dumps(value)}" for name, value in sorted(labels.items()))
    return f"{{{inside}}}"


def _plain(labels: str) -> str:
    found = dict(re.findall(r'(\w+)="([^"]*)"', labels))
    name = found.pop("alertname")
    return " ".join([name, *(f"{key}={value}" for key, value in sorted(found.items()))])
