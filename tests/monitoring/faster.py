"""The files of ``deploy/``, sixty times as fast.

The rules are the same ones. What changes, by text: every duration (``for:``, ranges, offsets; in Alertmanager the
waits) is divided by :data:`FACTOR`, a range is never shorter than four scrapes, thresholds are the given ones, scrapes
and evaluations come every second, targets and receivers are those of the test. Numbers of seconds inside an
expression (``< 43200``) stay as they are.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tests.docs.documents import ROOT

FACTOR: Final = 60
STEP_MS: Final = 1_000
_UNITS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_DURATION: Final = r"(\d+)(ms|s|m|h)\b"


def faster(number: str, unit: str, *, least_ms: int = 1) -> str:
    """A duration divided by the factor, in milliseconds."""
    return f"{max(int(number) * _UNITS[unit] // FACTOR, least_ms)}ms"


def fast_rules(text: str, thresholds: Mapping[str, float]) -> str:
    """The text of a rule file."""
    text = re.sub(rf"\[{_DURATION}\]", lambda found: f"[{faster(*found.groups(), least_ms=4 * STEP_MS)}]", text)
    text = re.sub(rf"\boffset {_DURATION}", lambda found: f"offset {faster(*found.groups(), least_ms=STEP_MS)}", text)
    text = re.sub(rf"\bfor: {_DURATION}", lambda found: f"for: {faster(*found.groups())}", text)
    for name, number in thresholds.items():
        text, count = re.subn(rf'(record: {name}\n +expr: )"[\d.]+"', rf'\g<1>"{number}"', text)
        assert count <= 1, name
    return text


def prometheus(
    directory: Path, *, targets: Mapping[str, str], own: str, token: str, thresholds: Mapping[str, float]
) -> Path:
    """Prometheus's configuration in a directory of its own; ``targets`` by job, all as ``host:port``."""
    shutil.copytree(ROOT / "deploy" / "prometheus", directory)
    shutil.rmtree(directory / "targets")
    (directory / "targets").mkdir()
    for path in (directory / "rules").iterdir():
        path.write_text(fast_rules(path.read_text(encoding="utf-8"), thresholds), encoding="utf-8")
    for job, target in targets.items():
        labels = {} if job == "alertmanager" else {"gateway": "test"}
        (directory / "targets" / f"{job}.json").write_text(json.dumps([{"targets": [target], "labels": labels}]))
    (directory / "console_token").write_text(token)
    path = directory / "prometheus.yml"
    config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    pace = {"scrape_interval": f"{STEP_MS}ms", "scrape_timeout": f"{STEP_MS}ms"}
    config["global"] = pace | {"evaluation_interval": f"{STEP_MS}ms"}
    for job in config["scrape_configs"]:
        if "scrape_interval" in job:
            job.update(pace)
        if "static_configs" in job:
            job["static_configs"] = [{"targets": [own]}]
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def alertmanager(directory: Path, receiver: str) -> Path:
    """Alertmanager's configuration; every receiver is at the address ``receiver``, by its own name."""
    text = (ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
    waits = rf"\b(group_wait|group_interval|repeat_interval): {_DURATION}"
    text = re.sub(waits, lambda found: f"{found[1]}: {faster(found[2], found[3])}", text)
    text, count = re.subn(r"url: http://127.0.0.1:9096", f"url: {receiver}", text)
    assert count == text.count("webhook_configs:")
    path = directory / "alertmanager.yml"
    path.write_text(text, encoding="utf-8")
    return path
