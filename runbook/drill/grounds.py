"""Where a drill runs: on the live gateway, or on one of its own with a bundled nats-server, really run either way."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway.client import Client, connect
from gateway.errors import FeedgateError, LineError
from gateway.model import LineId
from gateway.settings import (
    AccountSettings,
    BusSettings,
    CatalogueSettings,
    FeedSettings,
    MetricsSettings,
    Settings,
)
from gateway.terminal.market_check import MarketCheck
from runbook.drill.faults import DrillFault, Injector
from runbook.drill.mock_line import DEAD, KIND, SILENT, MockFeeds

if TYPE_CHECKING:
    from gateway.app import Gateway

FEED: Final = "sim"
_READY_S: Final = 45.0
_LOOK_S: Final = 0.05
_ANSWER_S: Final = 15.0
"""As patient as the drill's own checks: a busy machine is no failed drill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a course needs of the place it runs at."""

    client: Client
    injector: Injector
    settings: Settings
    check: MarketCheck | None = None
    """Judges ticks by content, on a market that is known."""
    url: str | None = None
    """NATS of a mock."""


class LiveInjector:
    """Only what needs neither a vendor nor the gateway's processes."""

    def __init__(self, client: Client, reason: str, operator: str) -> None:
        self._client, self._reason, self._operator = client, reason, operator

    async def inject(self, fault: DrillFault, line: str) -> None:
        if fault.name != "restart-line":
            raise FeedgateError(f"{fault.name} is for --mock only; use --fault restart-line")
        await self._client.restart_line(line, self._reason, operator=self._operator)

    async def heal(self) -> None:
        """Nothing here lasts."""


class MockInjector:
    """Signals to the lines' processes, and the rules of their fronts."""

    def __init__(self, gateway: Gateway, client: Client, rules: Path) -> None:
        self._gateway, self._client, self._rules = gateway, client, rules

    async def inject(self, fault: DrillFault, line: str) -> None:
        if fault.name == "restart-line":
            await self._client.restart_line(line, "drill")
        elif fault.name in ("kill-line", "stop-line"):
            pid = self._gateway.line_pid(line)
            if pid is None:
                raise LineError(f"{line} has no process", line=line)
            os.kill(pid, signal.SIGKILL if fault.name == "kill-line" else signal.SIGSTOP)
        else:
            self._rule(line, {"silent-front": SILENT, "dead-front": DEAD}[fault.name]).touch()

    async def heal(self) -> None:
        for rule in self._rules.iterdir():
            rule.unlink()

    def _rule(self, line: str, what: str) -> Path:
        return self._rules / f"{LineId.parse(line).account}.{what}"


def options(*, contracts: int, rate: float) -> dict[str, Any]:
    """Of the mock's market: always open, no contract quiet, every tick known beforehand."""
    return {"contracts": contracts, "rate": rate, "seed": 7, "quiet": 0.0, "auction": False}


def mock_settings(rules: Path, *, contracts: int, rate: float, router: str = "all_hot") -> Settings:
    """Two lines of one synthetic market, each in a process of its own, on free ports and temporary files."""
    market = options(contracts=contracts, rate=rate)
    feed = FeedSettings(
        kind=KIND,
        host="child",
        router=router,
        accounts={"primary": AccountSettings(), "backup": AccountSettings()},
        options=market | {"rules": str(rules)},
        catalogue=CatalogueSettings(kind="sim", options=market),
    )
    # the port of the metrics is free, so that a mock drill runs beside the live gateway
    return Settings(
        name="drill", feeds={FEED: feed}, bus=BusSettings(urls=[]), metrics=MetricsSettings(enabled=False, port=0)
    )


@asynccontextmanager
async def mock_ground(
    *, contracts: int = 60, rate: float = 600.0, router: str = "all_hot", dead: tuple[str, ...] = ()
) -> AsyncIterator[Ground]:
    """A gateway of the drill's own, ready to be drilled; all of it is gone afterwards.

    ``dead`` are accounts whose front takes no connection from the start. Raises FeedgateError when it does not get
    ready within 45 s.
    """
    from gateway.app import Gateway  # noqa: PLC0415 - a tenth of a second, which other commands need not wait

    with tempfile.TemporaryDirectory(prefix="feedgate-drill-") as directory:
        rules = Path(directory)
        for account in dead:
            (rules / f"{account}.{DEAD}").touch()
        settings = mock_settings(rules, contracts=contracts, rate=rate, router=router)
        market = options(contracts=contracts, rate=rate)
        check = await asyncio.to_thread(MarketCheck.of, market)
        async with Gateway(settings, plugins=[MockFeeds()]) as gateway:
            if gateway.url is None:
                raise FeedgateError("the mock gateway has no NATS; this is a fault of the drill itself")
            async with connect(gateway.url, name=settings.name, timeout=_ANSWER_S) as client:
                await _ready(client, len(dead))
                injector = MockInjector(gateway, client, rules)
                yield Ground(client=client, injector=injector, settings=settings, check=check, url=gateway.url)


async def _ready(client: Client, dead: int) -> None:
    """Every line that can carries everything."""
    rows: list[str] = []
    try:
        async with asyncio.timeout(_READY_S):
            while True:
                status = await client.status()
                whole = [one for one in status.lines if one.ticks and one.wanted and one.confirmed == one.wanted]
                hot = [one for one in status.lines if one.role != "cold"]
                if whole and len(whole) >= len(hot) - dead:
                    return
                rows = [f"{one.line} {one.state.value} {one.reason}".strip() for one in status.lines]
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        raise LineError(f"the mock gateway was not ready within {_READY_S:g} s: {'; '.join(rows)}") from None


@asynccontextmanager
async def live_ground(
    opened: Callable[[], AbstractAsyncContextManager[Client]], settings: Settings, reason: str, operator: str
) -> AsyncIterator[Ground]:
    """The gateway that runs. Raises BusError when NATS cannot be reached."""
    async with opened() as client:
        yield Ground(client=client, injector=LiveInjector(client, reason, operator), settings=settings)
