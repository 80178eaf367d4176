"""Every way to use the public API, for type checkers: mypy (strict) and pyright read this file, nobody runs it.

What must not be accepted carries an ignore for the one code that each of them has to report; both report an ignore that
is not needed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, assert_type

from gateway import (
    Account,
    AccountSettings,
    Balance,
    BusSettings,
    Client,
    Contract,
    Coverage,
    FeedSettings,
    GapDay,
    Gateway,
    Instrument,
    LineId,
    LineStatus,
    MetricsSettings,
    PluginRecord,
    PublishSettings,
    Settings,
    Switch,
    Tap,
    Tick,
    connect,
    hookimpl,
    load_settings,
)
from gateway.bus.memory import MemoryBus
from gateway.bus.nats import NatsBus
from gateway.client import (
    BatchStream,
    EventStream,
    FeedCoverage,
    Figures,
    GapsReply,
    Loss,
    Reloaded,
    StatusReply,
    SubscribeReply,
    SubscriptionsReply,
    TickStream,
)
from gateway.clock import Clock, SystemClock
from gateway.codec import Codec, JsonCodec, MsgpackCodec, Origin
from gateway.errors import FeedgateError, SettingsError
from gateway.gaps import GapEvent, LedgerStore, Mark, Past, StoreHealth
from gateway.hookspecs import FeedKind, Observer, RouterKind
from gateway.model import UNPUBLISHED, LineState
from gateway.plan import AccountRouter, Plan, View
from gateway.ports import Bus, Catalogue, FeedSource, Handler, Message, ParsingSource, SecretStore, TickSink
from gateway.settings import LedgerSettings
from runbook import Runbook
from runbook.hookspecs import Action, ActionKind
from runbook.model import ActionResult
from runbook.settings import RunbookSettings

# -- settings ----------------------------------------------------------------------------------------------

settings = Settings(
    feeds={"sim": FeedSettings(accounts={"primary": AccountSettings()}, options={"contracts": 20})},
    bus=BusSettings(kind="memory"),
    publish=PublishSettings(codec="json", form="both"),
    metrics=MetricsSettings(port=0),
)
assert_type(settings.feeds, dict[str, FeedSettings])
assert_type(load_settings(), Settings)
BusSettings(kind="kafka")  # pyright: ignore[reportArgumentType]  # must not pass
MetricsSettings(prot=0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# -- a gateway ---------------------------------------------------------------------------------------------


async def embed() -> None:
    async with Gateway(settings) as gw:
        assert_type(gw, Gateway)
        tap = gw.ticks("SHFE.*")
        assert_type(tap, Tap)
        assert_type(tap.dropped, int)
        async with tap as ticks:
            async for tick in ticks:
                assert_type(tick, Tick)
                assert_type(tick.last, float | None)
                assert_type(tick.instrument, Instrument)
        assert_type(gw.lines(), Sequence[LineStatus])
        assert_type(gw.balance(), Balance)
        assert_type(gw.contracts(), Sequence[Contract])
        assert_type(gw.coverage(), Sequence[Coverage])
        assert_type(gw.plugin_records(), Sequence[PluginRecord])
        assert_type(await gw.gaps(20251121), GapDay)
        assert_type(await gw.failover("sim", "why", to="sim:backup"), Switch)
        assert_type(gw.url, str | None)
        assert_type(gw.bus, Bus)
        await gw.subscribe(["SHFE.rb*", Instrument("DCE", "m2609")])
        gw.failover("sim")  # type: ignore[call-arg, unused-coroutine]  # pyright: ignore[reportCallIssue]
    started = await Gateway(settings).start()
    assert_type(started, Gateway)
    await started.aclose()


# -- a consumer --------------------------------------------------------------------------------------------


def lost(loss: Loss) -> None:
    assert_type(loss.ticks, int)


async def consume() -> None:
    async with connect("nats://127.0.0.1:4222", codec=JsonCodec()) as client:
        assert_type(client, Client)
        async with client.ticks("*", snapshot="optional", on_loss=lost) as stream:
            assert_type(stream, TickStream)
            assert_type(await anext(stream), Tick)
            async for chunk in stream.chunks():
                assert_type(chunk, list[Tick])
        async with client.batches("ctp") as batches:
            assert_type(batches, BatchStream)
            assert_type(await anext(batches), list[Tick])
        assert_type(client.events("switch"), EventStream)
        assert_type(await client.last("SHFE.*"), list[Tick])
        assert_type(await client.status(), StatusReply)
        assert_type(await client.subscriptions(), SubscriptionsReply)
        assert_type(await client.subscribe("SHFE.rb2510"), SubscribeReply)
        assert_type(await client.coverage(), list[FeedCoverage])
        assert_type(await client.gaps(), GapsReply)
        assert_type(await client.figures(), Figures)
        assert_type(await client.reload_catalogue(reason="why"), list[Reloaded])
        assert_type(await client.failback("why"), Switch)
        client.ticks(snapshot="maybe")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must not pass


# -- parts of one's own ------------------------------------------------------------------------------------


class OwnBus:
    """No base class: a protocol is what it does."""

    connected: bool = False
    max_payload: int = 1 << 20
    connection: int = 1

    def head(self, subject: str) -> bytes:
        return subject.encode()

    def post(self, messages: Sequence[tuple[bytes, bytes]]) -> None: ...
    async def settle(self) -> None: ...
    async def wait_connected(self) -> None: ...
    async def publish(self, subject: str, payload: bytes) -> None: ...

    async def subscribe(self, subject: str) -> AsyncIterator[Message]:
        raise NotImplementedError(subject)
        yield

    async def request(self, subject: str, payload: bytes, *, timeout: float = 2.0) -> bytes:  # noqa: ASYNC109 - the protocol's
        raise NotImplementedError(subject, payload, timeout)

    async def serve(self, name: str, version: str, endpoints: Mapping[str, Handler]) -> None: ...
    async def start(self) -> None: ...
    async def aclose(self) -> None: ...


class OwnCodec:
    name: str = "own"

    def origin(self, epoch: int, line: str, account: str) -> Origin:
        return MsgpackCodec().origin(epoch, line, account)

    def batch(self, payloads: Sequence[bytes]) -> bytes:
        return b"".join(payloads)

    def decode(self, payload: bytes) -> Tick:
        return MsgpackCodec().decode(payload)

    def decode_batch(self, payload: bytes) -> list[Tick]:
        return MsgpackCodec().decode_batch(payload)


class OwnStore:
    past: Past | None = None
    health: StoreHealth = StoreHealth()

    async def start(self) -> None: ...
    def put(self, event: GapEvent) -> None: ...
    def note(self, text: str) -> None: ...
    def mark(self, mark: Mark) -> None: ...
    async def flushed(self) -> None: ...

    async def day(self, trading_day: int | None, feed: str | None) -> GapDay:
        return GapDay(trading_day=trading_day or 0, gaps=(), watched=(), notes=((0, feed or ""),))

    async def aclose(self) -> None: ...


class OwnRouter:
    def plan(self, view: View) -> Plan:
        names = frozenset(line.name for line in view.lines)
        return Plan(prefer=view.lines[0].name, login=names, carry=dict.fromkeys(names, "all"))


class OwnClock:
    def wall_ns(self) -> int:
        return 0

    def monotonic(self) -> float:
        return 0.0


bus: Bus = OwnBus()
memory: Bus = MemoryBus()
nats: Bus = NatsBus("nats://127.0.0.1:4222", user="gw", password="secret")
codec: Codec = OwnCodec()
built_in: Codec = MsgpackCodec()
store: LedgerStore = OwnStore()
router: AccountRouter = OwnRouter()
clock: Clock = OwnClock()
system: Clock = SystemClock()
Gateway(settings, plugins=[object()], bus=bus, codec=codec, store=store, routers={"sim": router}, clock=clock)
Gateway(settings, bus=codec)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must not pass
Gateway(settings, routers=[router])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must not pass


# -- a plugin ----------------------------------------------------------------------------------------------


class Source:
    def __init__(self, account: Account, line: LineId, options: Mapping[str, Any]) -> None:
        assert_type(account.secrets, dict[str, str])

    async def start(self, sink: TickSink) -> None:
        sink.state(LineState.LOGGED_IN)
        sink.tick("no tick")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must not pass

    async def subscribe(self, instruments: Sequence[Instrument]) -> None: ...
    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None: ...
    async def aclose(self) -> None: ...


class Contracts:
    async def contracts(self) -> Sequence[Contract]:
        return [Contract(instrument=Instrument.parse("SHFE.rb2510"))]


class Secrets:
    def read(self, path: str) -> Mapping[str, str]:
        return {path: ""}


source: type[FeedSource] = Source
catalogue: Catalogue = Contracts()
secrets: SecretStore = Secrets()
assert_type(UNPUBLISHED, tuple[int, int, int, str, str])


def parses(one: FeedSource) -> bool:
    return isinstance(one, ParsingSource)


class Plugin:
    @hookimpl
    def gateway_feeds(self) -> Sequence[FeedKind]:
        return [FeedKind(name="mine", factory=Source, options=frozenset({"url"}))]

    @hookimpl
    def gateway_routers(self) -> Sequence[RouterKind]:
        return [RouterKind(name="mine", build=OwnRouter)]

    @hookimpl
    def gateway_observe(self) -> Sequence[Observer]:
        return [Observer(name="mine", line_changed=self.changed)]

    def changed(self, line: LineId, state: str, reason: str) -> None: ...


RouterKind(name="mine", build=Source)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # must not pass

# -- errors ------------------------------------------------------------------------------------------------

try:
    load_settings()
except SettingsError as error:
    assert_type(error.findings, list[str])
    assert_type(error.exit_code, int)
    assert_type(error.fields, dict[str, object])
    base: FeedgateError = error

# -- the runbook -------------------------------------------------------------------------------------------


async def operate(gw: Gateway) -> None:
    async with Runbook(gw, RunbookSettings()) as ops:
        assert_type(ops, Runbook)
        assert_type(ops.findings, list[str])


def actions(build: type[Action]) -> Sequence[ActionKind]:
    return [ActionKind(name="mine", title="Mine", build=build)]


def result(one: ActionResult) -> ActionResult:
    return one


ledger = LedgerSettings()
