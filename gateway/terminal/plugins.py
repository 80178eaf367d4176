"""``gateway plugins``: what is loaded, and why something is not."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from gateway.loader import PluginRecord, Plugins


def show_plugins(*, blocked: Sequence[str], as_json: bool) -> int:
    """Print them. Returns 0, or 1 when a plugin failed to load."""
    records = Plugins.load(blocked=blocked).records()
    if as_json:
        json.dump([asdict(record) for record in records], sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        Console().print(plugins_table(records))
    return int(any(record.status == "failed" for record in records))


def plugins_table(records: Sequence[PluginRecord]) -> Table:
    """One row a plugin."""
    table = Table(title="Plugins", title_justify="left", show_edge=False)
    for column in ("plugin", "version", "from", "status", "provides"):
        table.add_column(column)
    for record in records:
        colour = {"loaded": "green", "failed": "red"}.get(record.status, "yellow")
        table.add_row(
            record.name,
            record.version,
            record.distribution or "(argument)",
            f"[{colour}]{record.status}[/]",
            ", ".join(record.provides) if record.status == "loaded" else record.reason,
        )
    return table
