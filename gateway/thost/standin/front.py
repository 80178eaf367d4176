"""How the stand-in's counter behaves: told by the host of the front's address, or by its methods.

================================  =====================================================================================
Front                             Behaviour
================================  =====================================================================================
``tcp://standin:1``               logs in, lists its contracts, sends a snapshot of each twice a second
``tcp://refuses.standin:1``       refuses every login (error 3)
``tcp://silent.standin:1``        never answers, so no callback ever comes
``tcp://closes.standin:1``        accepts and closes at once, over and over: the library's storm or back-off
``tcp://drops.standin:30``        ends each session after the port's number of seconds, then accepts again
================================  =====================================================================================

Any other host behaves as the first. A login with the password :data:`WRONG_PASSWORD` is refused everywhere, and a login
without a user or password, too.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

WRONG_PASSWORD: Final = "wrong"  # noqa: S105 - the one that no account has
REFUSED: Final = (3, "CTP:不合法的登录")
UNKNOWN: Final = (16, "CTP:找不到合约")


class Manner(enum.StrEnum):
    """What a front does with those who come."""

    ANSWERS = "answers"
    REFUSES = "refuses"
    SILENT = "silent"
    CLOSES = "closes"
    DROPS = "drops"


@dataclass(frozen=True, slots=True)
class Front:
    """A front's address, read."""

    manner: Manner
    port: int


def read_front(address: str) -> Front:
    """``tcp://refuses.standin:1``."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    label = host.partition(".")[0]
    manner = next((manner for manner in Manner if manner.value == label), Manner.ANSWERS)
    return Front(manner, int(port))
