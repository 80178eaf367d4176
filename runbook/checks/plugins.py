"""Every installed plugin can be loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runbook.checks.inspection import VAULT_PLUGIN, Inspection
from runbook.checks.model import Check, Finding


def check(inspection: Inspection) -> Sequence[Finding]:
    """Imports them, as the gateway does."""
    return tuple(_findings(inspection))


def _findings(inspection: Inspection) -> Iterator[Finding]:
    records = inspection.plugins.records()
    loaded = sorted(record.name for record in records if record.status == "loaded" and record.distribution)
    yield Finding.ok(f"plugins: {', '.join(loaded)}")
    for record in records:
        if record.status == "failed":
            yield inspection.lacking(
                f"{record}",
                f"pip install -U {record.distribution}, or block it: FEEDGATE_PLUGINS_BLOCKED={record.name}",
            )
        elif record.status == "blocked" and record.name != VAULT_PLUGIN:
            yield Finding.info(f"{record}")


CHECK = Check(name="plugins", title="Plugins", run=check)
