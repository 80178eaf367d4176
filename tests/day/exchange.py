"""Two fronts with one market behind them, which trades by the calendar and by the day's clock.

Each contract that is open ticks ten times a second; its volume grows by one with each tick, so a consumer can tell from
the content alone that nothing is missing. The fronts speak the protocol of openctp-tts and check the login.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Self

from gateway.calendar import load_calendar
from gateway.calendar.instruments import InstrumentPhases
from gateway.model import SHANGHAI, Instrument
from tests.day.wall import Wall
from tests.native.tts_front import TtsFront, depth_frame

CONTRACTS: Final = ("SHFE.au2702", "SHFE.rb2701", "DCE.m2701", "CZCE.TA701", "CFFEX.IF2612")
"""Night to 02:30, to 23:00 (three), and no night at all."""
STEP_S: Final = 0.1
DEADLINE_S: Final = 60.0


class Exchange:
    """Runs in a thread of its own, so that the day can wait for its commands. All methods block until it is done."""

    def __init__(self, wall: Wall, trading_day: str) -> None:
        self.volumes: Counter[str] = Counter()
        self.halted = False
        """Nothing ticks, as if the market behind the fronts were gone."""
        self._wall = wall
        self._day = trading_day
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="exchange")
        self.primary = TtsFront(trading_day=trading_day)
        self.backup = TtsFront(trading_day=trading_day)
        self._phases = InstrumentPhases(load_calendar())
        self._market: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.call(self.primary.listen())
        self.call(self.backup.listen())
        self.call(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run it on the exchange's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE_S)

    def on_loop(self, work: Callable[[], Any]) -> Any:
        """The same for a function."""

        async def do() -> Any:
            return work()

        return self.call(do())

    async def _open(self) -> None:
        self._market = asyncio.create_task(self._trade(), name="market")

    async def _close(self) -> None:
        assert self._market is not None
        self._market.cancel()
        await asyncio.gather(self._market, return_exceptions=True)
        for front in (self.primary, self.backup):
            await front.__aexit__(None, None, None)

    async def _trade(self) -> None:
        while True:
            now_ns = self._wall.ns()
            for name in CONTRACTS if not self.halted else ():
                if self._phases.phase(Instrument.parse(name), now_ns) == "open":
                    self._tick(name)
            await asyncio.sleep(STEP_S)

    def _tick(self, name: str) -> None:
        self.volumes[name] += 1
        volume = self.volumes[name]
        now = self._wall.now().astimezone(SHANGHAI)
        code = name.partition(".")[2]
        last = 3000.0 + volume % 50
        frame = depth_frame(
            code, trading_day=self._day, action_day=f"{now:%Y-%m-%d}", update_time=f"{now:%H:%M:%S}", last=last,
            volume=volume, turnover=volume * 30_000.0, open_interest=100_000, pre_settlement=3000.0, open=3000.0,
            high=3100.0, low=2900.0, upper_limit=4000.0, lower_limit=2000.0,
            bids=[(last - 1, 1 + volume % 97)], asks=[(last + 1, 1 + volume % 89)],
        )  # fmt: skip
        for front in (self.primary, self.backup):
            front.send(frame, code=code)
