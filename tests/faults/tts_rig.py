"""Native lines: openctp-tts in a child process each, against loopback fronts that speak its protocol."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.model import SHANGHAI, Tick
from gateway.settings import AccountSettings, FeedSettings
from tests.faults.ability import Ability
from tests.faults.market import Key, Made, code_of
from tests.faults.style import Distortion, Style
from tests.native.tts_front import Mode, TtsFront, depth_frame

CODES = ("SHFE.rb2601", "SHFE.ag2602", "DCE.m2601", "DCE.i2605", "CZCE.TA601", "CFFEX.IF2512")
RATE = 200
_STEP_S = 0.005
_NS = 1_000_000_000
UPPER, LOWER = 4000.0, 2000.0


@dataclass(frozen=True, slots=True)
class Depth:
    """A tick of the known market: everything follows from contract and volume."""

    instrument: str
    volume: int
    day: str
    clock: str
    last: float

    def frame(self) -> bytes:
        """As the wire has it."""
        return depth_frame(
            code_of(self.instrument), trading_day=self.day, action_day=self.day, update_time=self.clock,
            last=self.last, volume=self.volume, turnover=self.volume * 30_000.0, open_interest=100_000,
            pre_settlement=3000.0, open=3000.0, high=3100.0, low=2900.0, upper_limit=UPPER, lower_limit=LOWER,
            bids=[(self.last - 1, 1 + self.volume % 97)], asks=[(self.last + 1, 1 + self.volume % 89)],
        )  # fmt: skip


def key(tick: Tick) -> Key:
    """Volumes are unique in a contract; price and book are there so that a wrong tick is none of the market's."""
    return (
        str(tick.instrument),
        tick.volume,
        tick.last,
        tick.bid,
        tick.bid_volumes[:1],
        tick.ask,
        tick.ask_volumes[:1],
    )


def _key(depth: Depth) -> Key:
    bid, ask = depth.last - 1, depth.last + 1
    volume = depth.volume
    return (depth.instrument, volume, depth.last, bid, (1 + volume % 97,), ask, (1 + volume % 89,))


def lie(depth: Depth, number: int) -> Depth:
    """In turn a price beyond the daily limits, and a volume that goes back."""
    volume, last = (depth.volume, UPPER * 2) if number % 2 else (depth.volume - 500, depth.last)
    return Depth(depth.instrument, volume, depth.day, depth.clock, last)


class TtsLine:
    """A front and what it does to its line. Implements :class:`tests.faults.front.Front`."""

    def __init__(self) -> None:
        self.front = TtsFront(trading_day=f"{datetime.now(SHANGHAI):%Y-%m-%d}")
        self.ability = Ability()
        self._sessions = 0
        self._distortion: Distortion[Depth] = Distortion(
            self._send, lambda delay, call: asyncio.get_running_loop().call_later(delay, call), lie
        )

    def take(self, depth: Depth) -> None:
        """A tick of the market; also the moment to look at the session."""
        self.look()
        self._distortion.take(code_of(depth.instrument), depth)

    def look(self) -> None:
        """Whether a session with every contract stands."""
        wanted = {code_of(one) for one in CODES}
        good = [client for client in self.front._clients if client.logged_in and wanted <= client.subscribed]
        session = max((id(client) for client in good), default=0)
        self.ability.session(stands=bool(good), fresh=session != self._sessions)
        if session:
            self._sessions = session

    def _send(self, code: str, depth: Depth) -> None:
        self.front.send(depth.frame(), code=code)

    async def refuse(self) -> None:
        self.ability.impair(until_session=True)
        await self.front.refuse()

    async def serve(self) -> None:
        self.front.mode = Mode.SERVE
        self.front.refuse_login = None
        if self.front._server is None:
            await self.front.listen()

    async def drop(self) -> None:
        self.ability.impair(until_session=True)
        await self.front.drop_clients()

    async def accept_only(self) -> None:
        self.ability.impair(until_session=True)
        self.front.mode = Mode.SILENT
        await self.front.drop_clients()

    async def refuse_logins(self) -> None:
        self.front.refuse_login = (3, "CTP:不合法的登录")

    async def garbage(self) -> None:
        self.ability.impair(until_session=True)
        self.front.mode = Mode.GARBAGE
        self.front.send(b"\xff" * 64)

    async def storm(self) -> None:
        self.ability.impair(until_session=True)
        self.front.mode = Mode.CLOSE
        await self.front.drop_clients()

    def distort(self, style: Style) -> None:
        if style.mute:
            self.ability.impair()
        elif self._distortion.style.mute:
            self.ability.repair()
        self._distortion.set(style)


class TtsMarket:
    """Makes the ticks and gives each to every front."""

    feed = "ctp"
    contracts = CODES

    def __init__(self, lines: Mapping[str, TtsLine]) -> None:
        self._lines = lines
        self._volumes = dict.fromkeys(CODES, 1000)
        self._made: dict[Key, Made] = {}

    async def run(self) -> None:
        """Until cancelled."""
        begun, step = time.monotonic(), 0
        while True:
            due = int((time.monotonic() - begun) * RATE)
            while step < due:
                self._make(CODES[step % len(CODES)])
                step += 1
            for line in self._lines.values():
                line.look()
            await asyncio.sleep(_STEP_S)

    def _make(self, instrument: str) -> None:
        volume = self._volumes[instrument] = self._volumes[instrument] + 1
        now = datetime.now(SHANGHAI)
        depth = Depth(instrument, volume, f"{now:%Y-%m-%d}", f"{now:%H:%M:%S}", 3000.0 + volume % 50)
        self._made[_key(depth)] = Made(instrument, time.time_ns())
        for line in self._lines.values():
            line.take(depth)

    def made(self, from_ns: int, to_ns: int) -> dict[Key, Made]:
        """What was made in a span of real time."""
        return {known: one for known, one in self._made.items() if from_ns <= one.at_ns <= to_ns}

    def born(self, known: Key) -> Made | None:
        """When the market made it; None: it never did."""
        return self._made.get(known)


class TtsSource:
    """A market, two fronts, and the settings of the feed. Implements :class:`tests.faults.source.Source`."""

    name = "tts"
    key = staticmethod(key)
    plugins: tuple[object, ...] = ()

    def __init__(self, locale_dir: Path) -> None:
        self.fronts = {"primary": TtsLine(), "backup": TtsLine()}
        self.market = TtsMarket(self.fronts)
        self._locale_dir = locale_dir

    def feed(self, **extra: Any) -> FeedSettings:
        accounts = {
            name: AccountSettings(broker_id="9999", user_id="160219", password="secret", md_address=line.front.address)
            for name, line in self.fronts.items()
        }
        options = {"native_module": "openctp_tts", "locale_dir": str(self._locale_dir)}
        return FeedSettings(
            kind="ctp", accounts=accounts, instruments=list(CODES), options=options, sessions="always", **extra
        )

    def left_out(self) -> int:
        return 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self.fronts["primary"].front, self.fronts["backup"].front:
            task = asyncio.create_task(self.market.run(), name="market")
            try:
                yield
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
