from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.unit.flow.arbitrated import LINES, NOON, SECOND, Bench, Truth, market, per_contract

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

STEPS = ("trade", "trade", "stamp", "book", "book", "back", "day")


@st.composite
def streams(draw: st.DrawFn, *, returns: bool, repeats: bool = False, length: int = 24) -> list[list[Truth]]:
    """1 to 2 contracts. ``returns``: books may return to an earlier state under one key."""
    contracts = []
    book = 0
    for number in range(draw(st.integers(1, 2))):
        day, volume, ns, run = 20170414, 0, NOON, [0]
        ticks: list[Truth] = []
        steps = [step for step in STEPS if returns or step != "back"] + (["again"] if repeats else [])
        for step in draw(st.lists(st.sampled_from(steps), max_size=length)):
            if step == "trade":
                volume += 1
                ns += draw(st.sampled_from((0, SECOND)))
                # CZCE: the stamp may stand still while the volume moves
            elif step == "stamp":
                ns += SECOND
            elif step == "day":
                day, volume, ns = day + 1, 0, ns + 3600 * SECOND
            if step in ("trade", "stamp", "day"):
                run = []
            if step == "back" and len(run) > 1:
                shown = draw(st.sampled_from(run[:-1]))
                if shown == run[-1]:
                    continue
            elif step == "again" and ticks:
                shown = run[-1] if run else book
            else:
                book += 1
                shown = book
            run.append(shown)
            data = market(shown, volume=volume, day=day, ns=ns)
            ticks.append(Truth(number, len(ticks), day, volume, ns, data))
        contracts.append(ticks)
    return contracts


@dataclass(frozen=True, slots=True)
class Step:
    """What a line does next: deliver a snapshot (perhaps twice), or log in again and get old ones re-sent."""

    at: float
    line: int
    order: int
    tick: Truth | None
    junk: int = 0

    def __repr__(self) -> str:
        return f"{self.at}: line {self.line} {self.tick or f'logs in, {self.junk} old'}"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


@st.composite
def journeys(
    draw: st.DrawFn,
    stream: list[list[Truth]],
    *,
    lines: int,
    loss: bool,
    twice: bool = True,
    logins: bool = True,
    skew: float | None = None,
) -> list[Step]:
    """Each line carries the stream in order, with its own lag; one tick a second was made by the exchange."""
    order = [ticks[i] for i in range(24) for ticks in stream if i < len(ticks)]
    steps: list[Step] = []
    dice = Random(draw(st.integers(0, 1 << 32)))  # one draw instead of a hundred
    lags = [0.0, 0.5, 2.0, 6.0, 30.0] if skew is None else [0.0, skew / 3, skew]
    for line in range(lines):
        at = 0.0
        for made, tick in enumerate(order):
            if loss and dice.random() < 0.2:
                continue
            at = max(at, made + dice.choice(lags))
            if logins and dice.random() < 0.05:
                steps.append(Step(at, line, len(steps), None, junk=dice.randrange(1, 4)))
            steps.append(Step(at, line, len(steps), tick))
            if twice and dice.random() < 0.1:
                steps.append(Step(at, line, len(steps), tick))
    return sorted(steps, key=lambda step: (step.at, step.line, step.order))


Play = tuple[list[list[Truth]], int, list[Step]]


class Carriers:
    """Plays journeys into a bench, and remembers what each line has delivered."""

    def __init__(self, bench: Bench, stream: list[list[Truth]], *, resend_lost: bool = True) -> None:
        self.bench = bench
        self.resend_lost = resend_lost
        """Whether a front re-sends old ticks that its line never delivered."""
        self.stream = stream
        self.delivered: list[dict[int, list[Truth]]] = [{} for _ in range(bench.lines)]

    def log_in(self, line: int, junk: int) -> None:
        """The front re-sends the last snapshot, or ones with old times."""
        self.bench.arbiter.reset(LINES[line])
        for had in self.delivered[line].values():
            last = had[-1]
            old = [tick for tick in (self.stream[last.contract] if self.resend_lost else had) if tick.key < last.key]
            for tick in [*old[-junk:], last][:junk]:
                self.bench.deliver(line, tick)

    def carry(self, line: int, tick: Truth) -> list[Truth]:
        self.delivered[line].setdefault(tick.contract, []).append(tick)
        return self.bench.deliver(line, tick)


@st.composite
def plays(draw: st.DrawFn, *, returns: bool, loss: bool, most: int = 3, **options: object) -> Play:
    stream = draw(streams(returns=returns))
    lines = draw(st.integers(1, most))
    return stream, lines, draw(journeys(stream, lines=lines, loss=loss, **options))  # type: ignore[arg-type]  # options are those of journeys


@patient
@given(plays(returns=False, loss=True))
def test_with_losses_lags_doubles_and_logins_nothing_comes_out_twice_or_out_of_order(play: Play) -> None:
    stream, lines, steps = play
    bench = Bench(lines)
    carriers = Carriers(bench, stream)
    for step in steps:
        if step.tick is None:
            carriers.log_in(step.line, step.junk)
        else:
            carriers.carry(step.line, step.tick)
    bench.assert_balanced()
    assert bench.events == []
    for out in per_contract(bench.out).values():
        assert all(one.place < other.place for one, other in pairwise(out)), [tick.place for tick in out]


@patient
@given(plays(returns=False, loss=True))
def test_a_tick_that_comes_before_a_newer_one_is_out_is_published(play: Play) -> None:
    """But for one that shares its key with the newest published one, from a line that lost this very one."""
    stream, lines, steps = play
    bench = Bench(lines)
    carriers = Carriers(bench, stream)
    newest: dict[int, Truth] = {}
    for step in steps:
        tick = step.tick
        if tick is None:
            carriers.log_in(step.line, step.junk)
            continue
        before = newest.get(tick.contract)
        had = carriers.delivered[step.line].get(tick.contract, [])
        fresh = carriers.carry(step.line, tick)
        if before is None or tick.key > before.key or (tick.place > before.place and before in had):
            assert fresh == [tick]
            newest[tick.contract] = tick
        elif fresh:
            newest[tick.contract] = tick


@patient
@given(plays(returns=True, loss=False, logins=False))
def test_lines_without_losses_yield_exactly_the_exchanges_stream_with_returns_to_an_earlier_book(play: Play) -> None:
    """No logins here: what a front sends first may be an earlier book of the same key, or its return."""
    stream, lines, steps = play
    bench = Bench(lines)
    carriers = Carriers(bench, stream)
    for step in steps:
        if step.tick is not None:
            carriers.carry(step.line, step.tick)
    bench.assert_balanced()
    out = per_contract(bench.out)
    for number, ticks in enumerate(stream):
        assert [tick.market for tick in out.get(number, [])] == [tick.market for tick in ticks]


@patient
@given(plays(returns=False, loss=True, skew=3.0))
def test_a_window_as_long_as_the_lag_publishes_every_tick_that_any_line_delivered(play: Play) -> None:
    stream, lines, steps = play
    bench = Bench(lines, reorder_s=3.0)
    carriers = Carriers(bench, stream, resend_lost=False)
    for step in steps:
        # a tick that is due in the same instant in which an older one comes may go after it
        bench.release(step.at - 0.001, stream)
        bench.clock._now = step.at
        if step.tick is None:
            carriers.log_in(step.line, step.junk)
        else:
            carriers.carry(step.line, step.tick)
    bench.release(1e9, stream)
    bench.assert_balanced()
    assert bench.arbiter.waiting == 0
    assert bench.arbiter.next_due() is None
    out = per_contract(bench.out)
    for number in range(len(stream)):
        places = [tick.place for tick in out.get(number, [])]
        brought = [{tick.place for tick in line.get(number, [])} for line in carriers.delivered]
        assert sorted(places) == sorted(set().union(*brought))
        assert all(one.key <= other.key for one, other in pairwise(out.get(number, [])))
        for line in brought:
            own = [place for place in places if place in line]
            assert own == sorted(own)


@patient
@given(streams(returns=True, repeats=True), st.data())
def test_a_single_line_passes_through_but_for_repeats_and_stale_ticks(
    stream: list[list[Truth]], data: st.DataObject
) -> None:
    bench = Bench(1)
    for ticks in stream:
        newest: Truth | None = None
        for tick in ticks:
            if newest is not None and data.draw(st.integers(0, 5)) == 0:
                older = [one for one in ticks if one.key < newest.key]
                for one in data.draw(st.lists(st.sampled_from(older), max_size=3)) if older else []:
                    assert bench.deliver(0, one) == []
            repeated = newest is not None and newest.market == tick.market
            assert bench.deliver(0, tick) == ([] if repeated else [tick])
            newest = tick
    bench.assert_balanced()


@patient
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))),
    st.sampled_from((0.0, 2.0)),
)
def test_whatever_lines_send_keys_never_fall_unless_a_snapshot_was_withdrawn(
    rows: list[tuple[int, ...]], reorder_s: float
) -> None:
    stream = [[
        Truth(0, place, 20170414 + day, volume, NOON + second * SECOND,
              market(book, volume=volume, day=20170414 + day, ns=NOON + second * SECOND))
        for place, (_line, day, volume, second, book) in enumerate(rows)
    ]]  # fmt: skip
    bench = Bench(3, reorder_s=reorder_s)
    for place, row in enumerate(rows):
        bench.clock._now = float(place)
        bench.deliver(row[0], stream[0][place])
        bench.release(float(place), stream)
        event(f"withdrawn: {bench.arbiter.withdrawn > 0}")
    bench.release(1e9, stream)
    bench.assert_balanced()
    assert sum(one.key > other.key for one, other in pairwise(bench.out)) <= bench.arbiter.withdrawn
