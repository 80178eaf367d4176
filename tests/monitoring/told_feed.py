"""The feed kind ``told``: the synthetic market, with lines that die when they are told to, and stay away.

A file ``AWAY/FEED-ACCOUNT`` kills the process of that line, and every one that takes its place, until it is removed.
The list of SHFE's contracts has some more, :data:`REFUSED`, that every line refuses.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.hookspecs import CatalogueKind, FeedKind, hookimpl
from gateway.model import Account, Contract, Instrument, LineId
from gateway.ports import Catalogue
from gateway.sources.sim import SimSource, build_catalogue
from gateway.sources.sim import build_source as build_sim
from gateway.sources.sim_options import OPTIONS

REFUSED = tuple(Instrument("SHFE", f"zz99{number:02}") for number in range(9))


class Listed:
    """A catalogue, and the contracts that are refused."""

    def __init__(self, market: Catalogue) -> None:
        self._market = market

    async def contracts(self) -> Sequence[Contract]:
        found = await self._market.contracts()
        if any(one.instrument.exchange == "SHFE" for one in found):
            return [*found, *(Contract(instrument=one) for one in REFUSED)]
        return found


def _split(options: Mapping[str, Any]) -> tuple[Path, dict[str, Any]]:
    rest = dict(options)
    return Path(rest.pop("away")), rest


def build_source(account: Account, line: LineId, options: Mapping[str, Any]) -> SimSource:
    """The feed factory."""
    away, rest = _split(options)
    order = away / f"{line.feed}-{line.account}"

    def obey() -> None:
        while not order.exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=obey, name="obey", daemon=True).start()
    return build_sim(account, line, rest)


@hookimpl
def gateway_feeds() -> Sequence[FeedKind]:
    """The kind ``told``."""
    return [
        FeedKind(
            name="told", factory=build_source, options=OPTIONS | {"away"}, needs_account=False, native=True,
            sessions="always",
        )
    ]  # fmt: skip


@hookimpl
def gateway_catalogues() -> Sequence[CatalogueKind]:
    """Its contracts."""
    return [
        CatalogueKind(
            name="told", build=lambda account, options: Listed(build_catalogue(account, _split(options)[1])),
            options=OPTIONS | {"away"},
        )
    ]  # fmt: skip
