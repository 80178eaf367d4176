"""The whole settings model: everything that is wrong with it at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding, Severity


def check(inspection: Inspection) -> Sequence[Finding]:
    """Every refused setting, then what fits the model and not the profile."""
    return tuple(_findings(inspection))


def _findings(inspection: Inspection) -> Iterator[Finding]:
    for refusal in inspection.refusals:
        yield Finding.of_text(Severity.ERROR, refusal, "correct it")
    settings = inspection.gateway_settings
    if settings is None:
        return
    if not inspection.refusals:
        places = [*map(str, inspection.env_files), *([str(inspection.config)] if inspection.config else [])]
        yield Finding.ok(f"the settings can be read ({', '.join(['environment', *places])})")
    if inspection.live and settings.profile != "live":
        yield Finding.warning(
            f"FEEDGATE_PROFILE says {settings.profile}, and these are checked as live",
            "set FEEDGATE_PROFILE=live where the gateway is started",
        )
    if settings.bus.kind == "memory":
        yield inspection.lacking(
            "FEEDGATE_BUS__KIND is memory: no consumer outside of the gateway's process gets a tick",
            "set FEEDGATE_BUS__KIND=nats",
        )


CHECK = Check(name="settings", title="Settings model", run=check)
