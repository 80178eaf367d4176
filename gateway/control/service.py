"""The gateway's answers to requests over the bus."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from gateway.control import (
    ContractsRequest,
    LastReply,
    LastRequest,
    LineCounts,
    StatusReply,
    SubscribeReply,
    SubscribeRequest,
    Subscription,
    SubscriptionsRequest,
)
from gateway.errors import ControlError
from gateway.model import Contract, Instrument, LineStatus
from gateway.subjects import control_subject, matcher, subscription_subject

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

    from gateway.ports import Bus, Handler

PAGE_BYTES = 448 * 1024
"""Payload budget of a reply. A NATS server takes 1 MiB a message unless told otherwise."""

_NAMES_BYTES = PAGE_BYTES // 2

Request = TypeVar("Request")


class Desk(Protocol):
    """What the control service needs from the gateway. Called on the loop; only coroutines may wait."""

    @property
    def epoch(self) -> int:
        """Start of this gateway, Unix milliseconds; later than that of every gateway before it."""

    @property
    def version(self) -> str:
        """Of the gateway: ``0.1.0``."""

    @property
    def codec(self) -> str:
        """Name of the codec of ``last``'s payloads: ``msgpack`` or ``json``."""

    def last(self, wanted: Callable[[str], bool], start: int) -> Iterable[tuple[int, bytes]]:
        """``(position, payload)`` of the last published tick of each instrument whose name is ``wanted``.

        In order of position, from ``start`` on. A position belongs to one instrument for the whole epoch (the
        order in which instruments were first seen will do). Not always read to its end. What
        was posted to the bus before the call must be in it: so snapshot and stream meet without a hole.
        """

    def contracts(self) -> Sequence[Contract]:
        """The catalogue; empty when there is none."""

    def lines(self) -> Sequence[LineStatus]:
        """All lines as of now, in a steady order."""

    def subscriptions(self, line: str) -> Iterable[Subscription]:
        """Every wanted instrument of one line of :meth:`lines`, in a steady order."""

    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        """Want these from now on. Returns when they are taken over, not when they are confirmed."""

    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        """Want these no longer."""

    def counters(self) -> Mapping[str, int | float]:
        """In, out and dropped by stop, and whatever else counts; flat, dotted names."""


class ControlService:
    """Serves ``md.ctl.<name>.*`` from a Desk. Ends with the bus, so it has nothing to close."""

    def __init__(self, bus: Bus, desk: Desk, name: str, *, page_bytes: int = PAGE_BYTES) -> None:
        self._bus = bus
        self._desk = desk
        self._name = name
        self._page_bytes = page_bytes
        self.answered: Counter[str] = Counter()
        """Requests answered, by endpoint."""
        self.refused: Counter[str] = Counter()
        """Requests refused or failed, by endpoint."""

    async def start(self) -> None:
        """Begin to answer. Raises what ``Bus.serve`` raises."""
        await self._bus.serve(self._name, self._desk.version, self.endpoints())

    def endpoints(self) -> dict[str, Handler]:
        """Subject → handler, for a bus or for a direct call. Handlers raise ControlError."""
        answers: dict[str, Callable[[bytes], Awaitable[bytes]]] = {
            "last": self._last,
            "contracts": self._contracts,
            "subscriptions": self._subscriptions,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "status": self._status,
        }
        return {control_subject(end, self._name): self._counted(end, do) for end, do in answers.items()}

    def _counted(self, endpoint: str, answer: Handler) -> Handler:
        async def handle(payload: bytes) -> bytes:
            try:
                reply = await answer(payload)
            except Exception:
                self.refused[endpoint] += 1
                raise  # the bus turns it into an error reply
            self.answered[endpoint] += 1
            return reply

        return handle

    async def _last(self, payload: bytes) -> bytes:
        request = _read(payload, LastRequest)
        found = self._desk.last(any_of(request.patterns), request.cursor)
        ticks, cursor = _page(found, request.limit, self._page_bytes)
        codec = self._desk.codec
        encode = msgspec.json.encode if codec == "json" else msgspec.msgpack.encode
        return encode(LastReply(epoch=self._desk.epoch, codec=codec, cursor=cursor, ticks=ticks))

    async def _contracts(self, payload: bytes) -> bytes:
        request = _read(payload, ContractsRequest)
        wanted, contracts = any_of(request.patterns), self._desk.contracts()
        rows = (
            (at, msgspec.json.encode(contracts[at]))
            for at in range(request.cursor, len(contracts))
            if wanted(str(contracts[at].instrument))
        )
        page, cursor = _page(rows, request.limit, self._page_bytes)
        return msgspec.json.encode({"contracts": page, "cursor": cursor})

    async def _subscriptions(self, payload: bytes) -> bytes:
        request = _read(payload, SubscriptionsRequest)
        lines = self._desk.lines()
        if request.line is not None:
            names = ", ".join(line.line for line in lines) or "none"
            lines = [line for line in lines if line.line == request.line]
            if not lines:
                raise ControlError(f"no line {request.line!r} here; the lines are: {names}")
        wanted, states = any_of(request.patterns), request.states
        rows = (
            (at, msgspec.json.encode(row))
            for at, row in enumerate(row for line in lines for row in self._desk.subscriptions(line.line))
            if at >= request.cursor and (not states or row.state in states) and wanted(row.instrument)
        )
        page, cursor = _page(rows, request.limit, self._page_bytes)
        counts = [
            LineCounts(
                line=line.line,
                wanted=line.wanted,
                pending=line.pending,
                confirmed=line.confirmed,
                failed=line.failed,
            )
            for line in lines
        ]
        return msgspec.json.encode({"lines": counts, "subscriptions": page, "cursor": cursor})

    async def _subscribe(self, payload: bytes) -> bytes:
        request = _read(payload, SubscribeRequest)
        catalogue = {str(contract.instrument): contract.instrument for contract in self._desk.contracts()}
        accepted, unknown = _resolve(request, catalogue, take_unlisted=not catalogue)
        if accepted:
            await self._desk.subscribe(list(accepted.values()))
        return _names_reply(list(accepted), unknown)

    async def _unsubscribe(self, payload: bytes) -> bytes:
        request = _read(payload, SubscribeRequest)
        subscribed = {
            row.instrument: Instrument.parse(row.instrument)
            for line in self._desk.lines()
            for row in self._desk.subscriptions(line.line)
        }
        accepted, unknown = _resolve(request, subscribed, take_unlisted=False)
        if accepted:
            await self._desk.unsubscribe(list(accepted.values()))
        return _names_reply(list(accepted), unknown)

    async def _status(self, payload: bytes) -> bytes:
        _read(payload, _NoFields)
        desk = self._desk
        return msgspec.json.encode(
            StatusReply(
                name=self._name,
                version=desk.version,
                epoch=desk.epoch,
                codec=desk.codec,
                lines=list(desk.lines()),
                counters=dict(desk.counters()),
            )
        )


class _NoFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


def any_of(patterns: Iterable[str]) -> Callable[[str], bool]:
    """A predicate over ``EXCHANGE.CODE``: does any pattern match? Raises ControlError for a bad pattern."""
    patterns = tuple(dict.fromkeys(patterns))
    if not patterns:
        raise ControlError('patterns is empty; name some, for example ["SHFE.rb*"], or ["*"] for everything')
    try:
        for pattern in patterns:
            subscription_subject(pattern)
    except ValueError as error:
        raise ControlError(str(error)) from None
    if "*" in patterns:
        return lambda _name: True
    if len(patterns) == 1:
        return matcher(patterns[0])
    tests = [matcher(pattern) for pattern in patterns]
    return lambda name: any(test(name) for test in tests)


def _read(payload: bytes, kind: type[Request]) -> Request:
    try:
        return msgspec.json.decode(payload or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        fields = ", ".join(field.name for field in msgspec.structs.fields(kind)) or "none"  # type: ignore[arg-type]  # every request is a Struct
        raise ControlError(f"bad request: {error}; send a JSON object, its fields are: {fields}") from None


def _page(found: Iterable[tuple[int, Any]], limit: int, budget: int) -> tuple[list[msgspec.Raw], int | None]:
    """As many as fit, at least one, and the position to go on from; None when that was all."""
    page: list[msgspec.Raw] = []
    for position, row in found:
        budget -= len(row) + 1
        if page and (budget < 0 or len(page) >= limit):
            return page, position
        page.append(msgspec.Raw(row))
    return page, None


def _resolve(
    request: SubscribeRequest, known: Mapping[str, Instrument], *, take_unlisted: bool
) -> tuple[dict[str, Instrument], list[str]]:
    """The instruments meant, by name, and the names and patterns that mean nothing."""
    if not (request.instruments or request.patterns):
        raise ControlError('nothing asked for; send instruments ["SHFE.rb2510"] or patterns ["SHFE.rb*"]')
    accepted: dict[str, Instrument] = {}
    unknown: dict[str, None] = {}
    for name in request.instruments:
        try:
            instrument = Instrument.parse(name)
        except ValueError as error:
            raise ControlError(str(error)) from None
        if name in known or take_unlisted:
            accepted[name] = instrument
        else:
            unknown[name] = None
    for pattern in request.patterns:
        test = any_of((pattern,))
        found = [name for name in known if test(name)]
        accepted.update((name, known[name]) for name in found)
        if not found:
            unknown[pattern] = None
    return accepted, list(unknown)


def _names_reply(accepted: list[str], unknown: list[str]) -> bytes:
    accepted_names, unknown_names = list(_within(accepted)), list(_within(unknown))
    return msgspec.json.encode(
        SubscribeReply(
            accepted=len(accepted),
            unknown=len(unknown),
            accepted_names=accepted_names,
            unknown_names=unknown_names,
            truncated=len(accepted_names) < len(accepted) or len(unknown_names) < len(unknown),
        )
    )


def _within(names: Iterable[str]) -> Iterator[str]:
    budget = _NAMES_BYTES
    for name in names:
        budget -= len(msgspec.json.encode(name)) + 1
        if budget < 0:
            return
        yield name
