"""The list of checks, in the order in which they are reported. A new check is a module and a line here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.errors import FeedgateError
from runbook.checks import (
    access,
    accounts,
    clocks,
    directories,
    disk,
    feeds,
    files_open,
    fronts,
    ledger,
    live_profile,
    locales,
    monitoring,
    nats,
    plugins,
    ports,
    python,
    rates,
    runtime_file,
    secret_files,
    sessions,
    settings,
    timezones,
    trading_days,
    vault,
)
from runbook.checks.model import Check

CHECKS: Final[tuple[Check, ...]] = (
    settings.CHECK,
    live_profile.CHECK,
    feeds.CHECK,
    plugins.CHECK,
    accounts.CHECK,
    rates.CHECK,
    fronts.CHECK,
    vault.CHECK,
    runtime_file.CHECK,
    secret_files.CHECK,
    nats.CHECK,
    monitoring.CHECK,
    access.CHECK,
    ports.CHECK,
    ledger.CHECK,
    directories.CHECK,
    disk.CHECK,
    clocks.CHECK,
    timezones.CHECK,
    trading_days.CHECK,
    sessions.CHECK,
    locales.CHECK,
    files_open.CHECK,
    python.CHECK,
)
"""What ``runbook validate-env`` runs."""

MACHINE_CHECKS: Final[tuple[Check, ...]] = tuple(check for check in CHECKS if not check.needs_accounts)
"""What ``runbook doctor`` runs."""


class UnknownCheckError(FeedgateError):
    """``--only`` names a check that there is not."""

    code = "unknown_check"
    exit_code = 64


def chosen(checks: Sequence[Check], only: Sequence[str]) -> tuple[Check, ...]:
    """The named ones in their usual order; all without names. Raises UnknownCheckError, which lists what there is."""
    known = [check.name for check in checks]
    unknown = [name for name in only if name not in known]
    if unknown:
        raise UnknownCheckError(f"there is no check {', '.join(unknown)}; choose from: {', '.join(known)}")
    return tuple(check for check in checks if not only or check.name in only)
