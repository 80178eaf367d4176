"""Reference prices travel beside the ticks: from the source with a heartbeat, through the line, to who asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway.clock import SystemClock
from gateway.lines.cells import Cells
from gateway.lines.messages import FromLine, References, Start, Stop, Tuning, decode_from_line, encode
from gateway.lines.runner import SourceRunner, batched
from gateway.model import Account, Instrument, LineId
from gateway.ports import TickSink
from gateway.testing.clock import ManualClock
from tests.unit.lines.scripted_host import Script, build_line
from tests.unit.lines.test_handoff import Outlet

FIRST, SECOND = Instrument("SSE", "10000001"), Instrument("SSE", "10000002")


class Source:
    """Tells what it is given, once."""

    def __init__(self) -> None:
        self.changed: list[tuple[Instrument, float]] = []

    async def start(self, sink: TickSink) -> None:
        """Nothing connects."""

    async def subscribe(self, instruments: Sequence[Instrument]) -> None: ...

    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None: ...

    async def aclose(self) -> None: ...

    def references(self) -> Sequence[tuple[Instrument, float]]:
        changed, self.changed = self.changed, []
        return changed


class Plain(Source):
    references = None  # type: ignore[assignment]  # as a source that has none


def told(outlet: Outlet) -> list[list[tuple[Instrument, float]]]:
    return [message.prices for message in outlet.messages if isinstance(message, References)]


async def test_what_changed_is_told_with_a_heartbeat_and_once() -> None:
    source, outlet = Source(), Outlet()
    source.changed = [(FIRST, 0.08), (SECOND, 0.2)]
    start = Start(
        line=LineId("sopt", "primary"), account=Account(name="primary"), factory="", options={},
        tuning=Tuning(heartbeat_s=0.001), path=[],
    )  # fmt: skip
    with Cells() as cells:
        runner = SourceRunner(outlet, clock=SystemClock(), cells=cells)
        running = asyncio.create_task(runner.run(start, lambda *_: source))
        await outlet.until(lambda: told(outlet))
        source.changed = [(FIRST, 0.12)]
        await outlet.until(lambda: len(told(outlet)) == 2)
        runner.orders.put_nowait(Stop())
        await running
    assert told(outlet) == [[(FIRST, 0.08), (SECOND, 0.2)], [(FIRST, 0.12)]]


def test_many_prices_are_told_in_pieces_that_fit_a_message() -> None:
    prices = [(Instrument("SSE", str(number)), 0.1) for number in range(1201)]
    pieces = list(batched(prices, 500))
    assert [len(piece) for piece in pieces] == [500, 500, 201]
    assert [price for piece in pieces for price in piece] == prices
    assert list(batched([], 500)) == []


def test_a_message_of_prices_survives_the_socket() -> None:
    message: FromLine = References([(FIRST, 0.08)])
    assert decode_from_line(encode(message)) == message


def test_a_line_remembers_the_last_price_of_each_contract() -> None:
    line = build_line(Script(), ManualClock())
    line.answered(References([(FIRST, 0.08), (SECOND, 0.2)]))
    line.answered(References([(FIRST, 0.12)]))
    assert line.references == {FIRST: 0.12, SECOND: 0.2}
