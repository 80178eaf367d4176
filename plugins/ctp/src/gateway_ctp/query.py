"""What the catalogue and its query process say to each other."""

from __future__ import annotations

import msgspec

from gateway.model import Account
from gateway_ctp.trader import Row


class Job(msgspec.Struct, frozen=True):
    """What the process is told."""

    account: Account
    native_module: str
    timers: dict[str, float]


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the process answers: rows or an error."""

    rows: list[Row] = []
    error: str = ""
