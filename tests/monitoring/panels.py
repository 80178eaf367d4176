"""What the panels of the dashboards ask, with their variables filled in for a day of some minutes."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.docs.documents import ROOT

BOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
VARIABLES = {"gateway": ".*", "feed": ".*", "account": ".*", "__rate_interval": "4s", "__range": "10m"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of a dashboard."""

    board: str
    panel: str
    expr: str
    instant: bool


def questions() -> list[Asked]:
    """All of both dashboards."""
    return [
        Asked(board["title"], panel["title"], filled(target["expr"]), target.get("instant", False))
        for board in (json.loads(path.read_text(encoding="utf-8")) for path in BOARDS)
        for panel in board["panels"]
        for target in panel.get("targets", ())
    ]


def filled(text: str) -> str:
    """The longest name first: one is the beginning of another."""
    for name, value in sorted(VARIABLES.items(), key=lambda pair: -len(pair[0])):
        text = text.replace(f"${name}", value)
    return text
