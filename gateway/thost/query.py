"""What the catalogue and its query process say to each other."""

from __future__ import annotations

import msgspec

from gateway.model import Account
from gateway.thost.trader import Row


class Job(msgspec.Struct, frozen=True):
    """What the process is told."""

    account: Account
    trader: str
    """Where the trader module is, as in :attr:`gateway.thost.family.Library.trader`."""
    timers: dict[str, float]
    columns: tuple[str, ...]
    needs_locale: bool = True


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the process answers: rows or an error."""

    rows: list[Row] = []
    error: str = ""
