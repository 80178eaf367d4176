"""The report of a drill: what was found at each stage, as JSON and as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from gateway.control.events import Switch
from runbook.health.files import stamp, write_new
from runbook.runner.run import shanghai

MARKER = "Failover drill completed successfully"
"""In the log and in the run's own log, on real success only. Source: the operators' contract, §5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    check: str
    """``health``, ``backlog``, ``consumer``, ``switch``, ``latency``, ``line``, ``ledger``, ``fault`` …"""
    ok: bool
    measured: bool = True
    text: str
    at: str
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class StageReport:
    """One stage and everything that was looked at in it, in order."""

    name: str
    began: str
    active: str | None = None
    """The preferred line when the stage was over."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(finding.ok for finding in self.findings)


@dataclass(slots=True, kw_only=True)
class DrillReport:
    """Grows while the drill runs, so that one that is cut short has a report too."""

    mode: Literal["live", "mock"]
    dry_run: bool
    feed: str
    home: str
    """The line that the drill begins on and must end on."""
    reason: str
    operator: str
    fault: str | None
    began: str
    thresholds: Mapping[str, Any]
    finished: str = ""
    exit_code: int = 2
    message: str = "the drill was cut short"
    stages: list[StageReport] = field(default_factory=list)
    switches: list[dict[str, Any]] = field(default_factory=list)
    consumer: dict[str, Any] = field(default_factory=dict)
    gaps: dict[str, Any] = field(default_factory=dict)
    restored: Literal["not needed", "done", "failed", "unknown"] = "unknown"
    stands_on: str | None = None
    """The preferred line at the end; None: nobody could say."""
    warnings: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        rows = asdict(self)
        for stage, row in zip(self.stages, rows["stages"], strict=True):
            row["ok"] = stage.ok
        return rows


def switch_json(switch: Switch) -> dict[str, Any]:
    """The whole event, and its moments as people in Shanghai read them."""
    contracts = [{"instrument": one.instrument, "latency_ms": one.latency_ms} for one in switch.contracts]
    names = (
        *("kind", "feed", "source", "target", "ok", "error", "reason", "trigger", "latency_ms", "measured"),
        *("at_ns", "started_ns", "finished_ns"),
    )
    return {name: getattr(switch, name) for name in names} | {
        "contracts": contracts,
        "started": shanghai(switch.started_ns),
        "finished": shanghai(switch.finished_ns),
    }


def write(report: DrillReport, directory: Path, wall_ns: int) -> tuple[Path, Path]:
    """The JSON and the Markdown file. Blocking. Raises OSError."""
    name = f"drill_{stamp(wall_ns)}"
    text = json.dumps(report.as_json(), ensure_ascii=False, indent=2) + "\n"
    written = write_new(directory, name, ".json", text)
    return written, write_new(directory, written.stem, ".md", markdown(report))


def markdown(report: DrillReport) -> str:
    """For people."""
    fault = f", fault {report.fault}" if report.fault else ""
    result = "Passed" if report.exit_code == 0 else f"Failed, exit code {report.exit_code}"
    asked = f"asked for by {_cell(report.operator)}: {_cell(report.reason) or '-'}"
    head = [
        f"# Failover drill, {report.mode}, feed {report.feed}{fault}",
        "",
        f"**{result}**: {_cell(report.message)}",
        "",
        f"From {report.began} to {report.finished}, {asked}",
        "",
        f"The feed stands on **{report.stands_on or 'unknown'}** (failback afterwards: {report.restored}).",
        "",
    ]
    rows = [
        f"| {stage.name} | {stage.active or '-'} | {one.check} | {_verdict(one)} | {_cell(one.text)} |"
        for stage in report.stages
        for one in stage.findings
    ]
    table = [
        "## Stages",
        "",
        "| Stage | Active line | Check | Result | What was found |",
        "|---|---|---|---|---|",
        *rows,
    ]
    switches = [
        "",
        "## Switches",
        "",
        "| Kind | From | To | Trigger | OK | Latency ms | Contracts measured | Slowest |",
        "|---|---|---|---|---|---|---|---|",
        *(_switch_row(one) for one in report.switches),
    ]
    consumer = ["", "## The drill's own consumer", "", "| Figure | Value |", "|---|---|"]
    consumer += [f"| {name} | {_cell(str(value))} |" for name, value in (report.consumer | report.gaps).items()]
    remarks = ["", "## Warnings", "", *(f"* {_cell(text)}" for text in report.warnings)] if report.warnings else []
    return "\n".join([*head, *table, *switches, *consumer, *remarks]) + "\n"


def _verdict(finding: Finding) -> str:
    return "ok" if finding.ok else "FAILED" if finding.measured else "FAILED, not measured"


def _switch_row(switch: Mapping[str, Any]) -> str:
    slow = ", ".join(f"{one['instrument']} {one['latency_ms']:.1f}" for one in switch["contracts"][:5])
    latency = "not measured" if switch["latency_ms"] is None else f"{switch['latency_ms']:.1f}"
    cells = (switch["kind"], switch["source"], switch["target"], switch["trigger"], switch["ok"], latency)
    return "| " + " | ".join(str(cell) for cell in cells) + f" | {switch['measured']} | {slow or '-'} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
