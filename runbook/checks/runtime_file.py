"""The file of pulled secrets: ours, and not from yesterday."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding, Severity
from runbook.secrets import RuntimeFileError, origin_of

OLD_S: Final = 86_400.0
"""Older than one day and night of trading: secrets may have been rotated since."""
_HOUR_S: Final = 3600.0
_CLOCK_S: Final = 60.0
_PULL: Final = "runbook secrets pull"


def check(inspection: Inspection) -> Sequence[Finding]:
    """Its owner and kind by the rules of the writer, its age by its time of change. No value of it is read."""
    path = inspection.runbook.vault.runtime_file
    try:
        origin = origin_of(path)
    except RuntimeFileError as error:
        return [Finding.of_text(Severity.ERROR, text, "remove it by hand") for text in error.findings]
    if origin is None:
        if inspection.runbook.vault.addr is None:
            return (Finding.info(f"there is no {path}, and no Vault to pull it from"),)
        return (inspection.lacking(f"there is no {path}: nothing was pulled from Vault yet", _PULL),)
    source, version = origin
    age_s = inspection.clock.wall_ns() / 1e9 - path.stat().st_mtime
    what = f"{path} was pulled from {source} version {version} {age_s / _HOUR_S:.1f} hours ago"
    if age_s > OLD_S:
        return (Finding.warning(what, _PULL),)
    if age_s < -_CLOCK_S:
        return (Finding.warning(f"{path} is from the future: the clock went back", "timedatectl status"),)
    return (Finding.ok(what),)


CHECK = Check(name="runtime-file", title="Pulled secrets", run=check)
