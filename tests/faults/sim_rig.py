"""``sim`` lines: the real sim source in a child process each, with a front that this process plays."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from gateway.model import Tick
from gateway.settings import AccountSettings, CatalogueSettings, FeedSettings
from gateway.sources.market import Grid
from gateway.sources.sim_options import SimOptions
from tests.faults import sim_line
from tests.faults.ability import Ability
from tests.faults.market import Key, Made
from tests.faults.style import Style

OPTIONS: Mapping[str, Any] = {
    "contracts": 10, "rate": 400.0, "seed": 7, "auction": False, "quiet": 0.0, "exchanges": ["SHFE", "DCE"],
}  # fmt: skip

_MILLISECOND_NS = 1_000_000


def key(tick: Tick) -> Key:
    """Volume, stamp and book sizes together are unique in a contract."""
    return (
        str(tick.instrument), tick.exchange_ns, tick.volume, tick.last,
        tick.bid_prices, tick.bid_volumes, tick.ask_prices, tick.ask_volumes,
    )  # fmt: skip


class SimFront:
    """Plays the front of one line. Implements :class:`tests.faults.front.Front`."""

    def __init__(self, path: Path, contracts: int) -> None:
        self.path = path
        self.ability = Ability()
        self.left_out = 0
        """Steps that the line skipped because it was kept from running."""
        self._contracts = contracts
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers = True
        self._logins = True
        self._talks_sense = True
        self._style = Style()

    async def listen(self) -> None:
        """Accept lines."""
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._accept, self.path)

    async def aclose(self) -> None:
        """Close the listener and all connections."""
        if self._server is not None:
            self._server.close()
        self._hang_up()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _hang_up(self) -> None:
        for writer in tuple(self._writers):
            writer.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        fresh = True
        try:
            while line := await reader.readline():
                said = msgspec.json.decode(line)
                if "hello" in said:
                    self._greet(writer)
                elif "skipped" in said:
                    self.left_out += said["skipped"]
                elif "subscribed" in said:
                    whole = len(said["subscribed"]) >= self._contracts
                    self.ability.session(stands=whole, fresh=fresh)
                    fresh = fresh and not whole
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            if not self._writers:
                self.ability.session(stands=False)
            writer.close()
            self._tasks.discard(task)

    def _greet(self, writer: asyncio.StreamWriter) -> None:
        if not self._talks_sense:
            writer.write(b"\xff\xff\xff\n")
        elif self._answers:
            writer.write(
                msgspec.json.encode({"style": self._style, "login": "ok" if self._logins else "refused"}) + b"\n"
            )

    def _order(self, what: object) -> None:
        for writer in self._writers:
            writer.write(msgspec.json.encode(what) + b"\n")

    async def refuse(self) -> None:
        self.ability.impair(until_session=True)
        await self.aclose()

    async def serve(self) -> None:
        self._answers = self._logins = self._talks_sense = True
        if self._server is None:
            await self.listen()

    async def drop(self) -> None:
        self.ability.impair(until_session=True)
        self._hang_up()

    async def accept_only(self) -> None:
        self._answers = False
        await self.drop()

    async def refuse_logins(self) -> None:
        self._logins = False

    async def garbage(self) -> None:
        self.ability.impair(until_session=True)
        self._order({"do": "garbage"})

    async def storm(self) -> None:
        self.ability.impair(until_session=True)
        self._order({"do": "storm"})

    def crash(self) -> None:
        """A null pointer is read in a thread that calls back."""
        self.ability.impair(until_session=True)
        self._order({"do": "segv"})

    def distort(self, style: Style) -> None:
        if style.mute:
            self.ability.impair()
        elif self._style.mute:
            self.ability.repair()
        self._style = style
        self._order({"style": style})


class SimMarket:
    """The market of ``sim`` is a function of time, so what it made is computed afterwards."""

    feed = "sim"

    def __init__(self) -> None:
        options = SimOptions.read(OPTIONS)
        self._market = options.market()
        self._timetable = options.timetable
        self._grid = Grid.of(options.rate)
        self._known: dict[Key, Made] = {}
        self._listed = [one for one in self._market.listed.values() if not one.quiet]

    @cached_property
    def contracts(self) -> list[str]:
        """Names."""
        return [str(one.contract.instrument) for one in self._listed]

    def made(self, from_ns: int, to_ns: int) -> dict[Key, Made]:
        """What was made in a span of real time."""
        made: dict[Key, Made] = {}
        for step in range(self._grid.first_at(from_ns), self._grid.step_at(to_ns) + 1):
            at_ns = self._grid.time_of(step)
            item = self._listed[step % len(self._listed)]
            (tick,) = self._market.snapshots([item], step, self._timetable.period(at_ns))
            made[key(tick)] = Made(str(tick.instrument), at_ns)
        return made

    def born(self, known: Key) -> Made | None:
        """When the market made it; None: it never did. Computed again from the stamp, which is the second part."""
        stamp = known[1]  # type: ignore[index]  # the tuple of key()
        if known not in self._known:
            self._known.update(self.made(stamp, stamp + _MILLISECOND_NS))
        return self._known.get(known)


class SimSource:
    """A market, two fronts, and the settings of the feed. Implements :class:`tests.faults.source.Source`."""

    name = "sim"
    key = staticmethod(key)
    plugins: tuple[object, ...] = (sim_line,)

    def __init__(self) -> None:
        self.market = SimMarket()
        self._directory = tempfile.TemporaryDirectory(prefix="feedgate-faults-")
        count = len(self.market.contracts)
        self.fronts = {
            name: SimFront(Path(self._directory.name) / f"{name}.sock", count) for name in ("primary", "backup")
        }

    def feed(self, **extra: Any) -> FeedSettings:
        accounts = {name: AccountSettings(options={"front": str(front.path)}) for name, front in self.fronts.items()}
        chosen: dict[str, Any] = {"host": "child"} | extra
        return FeedSettings(
            kind=sim_line.KIND, accounts=accounts, options=dict(OPTIONS), instruments=["*"],
            catalogue=CatalogueSettings(kind="sim", options=dict(OPTIONS)), **chosen,
        )  # fmt: skip

    def left_out(self) -> int:
        return sum(front.left_out for front in self.fronts.values())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        for front in self.fronts.values():
            await front.listen()
        try:
            yield
        finally:
            for front in self.fronts.values():
                await front.aclose()
            self._directory.cleanup()
