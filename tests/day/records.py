"""What a command leaves behind, looked up and judged: audit, run log, Pushgateway."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from gateway.model import SHANGHAI
from tests.day.desk import Desk, Done
from tests.day.services import get

_SAMPLE: Final = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_AT: Final = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+08:00")
OPERATOR_FIELDS: Final = frozenset({"session", "config", "account", "active_feed"})


def samples(url: str, name: str) -> list[tuple[dict[str, str], float]]:
    """Labels and value of each sample of a metric that a ``/metrics`` page shows."""
    found = []
    for line in get(f"{url}/metrics").splitlines():
        match = _SAMPLE.match(line)
        if match and match[1] == name:
            found.append((dict(_LABEL.findall(match[2] or "")), float(match[3])))
    return found


def value(url: str, name: str, **labels: str) -> float:
    """Of the one sample that has these labels."""
    found = [number for have, number in samples(url, name) if labels.items() <= have.items()]
    assert len(found) == 1, (name, labels, samples(url, name))
    return found[0]


def has(url: str, name: str) -> bool:
    """Whether a page shows the metric at all."""
    return bool(samples(url, name))


def moment(text: str) -> datetime:
    """A time of the records; fails when it is not in Shanghai's zone."""
    assert _AT.fullmatch(text), text
    return datetime.fromisoformat(text)


def judge(
    desk: Desk, done: Done, action: str, before: int, *, session: str, window: str, config: str, pushed: str | None
) -> None:
    """A command that ended has its two records, its log and its exit code on the Pushgateway (at ``pushed``).

    ``before``: how many records the audit had.
    """
    records = [row for row in desk.audit()[before:] if row["action"] == action]
    events = [row["event"] for row in records]
    assert events in (["start", "stop"], ["start", "exception"], ["refused"]), (done.line, events)
    for row in records:
        seen = {name: row[name] for name in ("session", "window", "profile", "trigger", "config")}
        wanted = {"session": session, "window": window, "profile": "live", "trigger": "cli", "config": config}
        assert seen == wanted, (done.line, seen)
        assert row["operator"]
        moment(row["at"])
    last = records[-1]
    assert last["exit_code"] == done.code, last
    assert done.began <= moment(last["finished_at"] or last["at"]) <= desk.wall.now(), (done.line, last)
    if events == ["refused"]:
        return  # nothing was executed: the code of the last execution stays on the Pushgateway
    _log(desk.logs / "runs" / f"{last['run']}.log", last)
    if pushed is not None:
        labels = {"command": action, "window": window or "none", "profile": "live"}
        assert value(pushed, "md_runbook_exit_code", **labels) == done.code, done.line


def _log(path: Path, record: dict[str, Any]) -> None:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) >= 2, path
    for line in lines:
        assert line.keys() >= OPERATOR_FIELDS | {"at", "session"}, line
        moment(line["at"])
        assert line["action"] == record["action"]
        assert "160219" not in json.dumps(line)


def day_of(text: str) -> str:
    """The date in Shanghai of a record's time."""
    return f"{moment(text).astimezone(SHANGHAI):%Y-%m-%d}"
