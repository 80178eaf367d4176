from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest

from gateway.flow.arbiter import ArbiterRules
from tests.unit.flow.arbitrated import LINES, NOON, SECOND, Bench, Truth, market

PRIMARY, BACKUP, THIRD = LINES
Lie = Callable[[Truth, int], Truth]


def stream(ticks: int, contracts: int = 3, start: int = 0) -> Iterator[Truth]:
    """A calm market: each contract trades and moves its book in turn."""
    for made in range(start, start + ticks):
        contract, place = made % contracts, made // contracts
        ns = NOON + made * SECOND // 2
        book = place // 3
        data = market(book, volume=10 + place, ns=ns, last=100.0 + book % 5)
        yield Truth(contract, place, 20170414, 10 + place, ns, data)


def told(tick: Truth, *, volume: int | None = None, book: int | None = None, **changes: float) -> Truth:
    """The tick as a line with a lie tells it."""
    volume = tick.volume if volume is None else volume
    book = tick.place // 3 if book is None else book
    last = changes.pop("last", 100.0 + book % 5)
    data = market(book, volume=volume, ns=tick.ns, last=last, **changes)
    return Truth(tick.contract, tick.place, tick.day, volume, tick.ns, data)


def dear(tick: Truth, _at: int) -> Truth:
    return told(tick, scale=1.5)


def falling(tick: Truth, _at: int) -> Truth:
    return told(tick, volume=max(tick.volume - 5000, 3))


def frozen(tick: Truth, _at: int) -> Truth:
    return told(tick, book=30)


def play(bench: Bench, lie: Lie | None, *, liar: int, leads: bool, ticks: int = 900, after: int = 300) -> list[Truth]:
    """All lines deliver the stream; from ``after`` on one of them lies. Returns the truth."""
    truth = list(stream(ticks))
    honest = [line for line in range(bench.lines) if line != liar]
    for at, tick in enumerate(truth):
        says = lie(tick, at) if lie and at >= after else tick
        for line in [liar, *honest] if leads else [*honest, liar]:
            bench.deliver(line, says if line == liar else tick)
    return truth


@pytest.mark.parametrize("leads", [True, False])
@pytest.mark.parametrize("lines", [2, 3])
@pytest.mark.parametrize(("lie", "reason"), [(dear, "limits"), (falling, "volume_back"), (frozen, "frozen")])
def test_a_lying_line_is_found_out_and_no_longer_published(lie: Lie, reason: str, lines: int, leads: bool) -> None:
    bench = Bench(lines)
    truth = play(bench, lie, liar=1, leads=leads)
    suspects = [event for event in bench.events if event.kind == "suspect"]
    assert [event.line for event in suspects] == [BACKUP]
    # of three lines, two may outvote the third before it has stood still for long enough
    assert suspects[0].reason in ((reason, "lonely") if lines == 3 and lie is frozen else (reason,))
    assert bench.arbiter.suspects == {BACKUP}
    bench.assert_balanced()
    # the honest lines' ticks come out, all of them once the liar is known
    tail = [tick.market for tick in truth[-300:]]
    assert [tick.market for tick in bench.out][-300:] == tail


@pytest.mark.parametrize(("lie", "most"), [(dear, 20), (falling, 0), (frozen, 70)])
def test_few_lies_come_out_before_a_line_is_suspect(lie: Lie, most: int) -> None:
    bench = Bench(2)
    truth = {tick.market for tick in play(bench, lie, liar=1, leads=True)}
    assert sum(tick.market not in truth for tick in bench.out) <= most


def test_limits_that_are_scaled_with_the_prices_do_not_hide_a_lie() -> None:
    bench = Bench(2)
    everything = {"scale": 1.5, "limits": 1.5}
    play(bench, lambda tick, _at: told(tick, **everything), liar=1, leads=True)
    assert bench.kinds()[0] == ("suspect", BACKUP, "limits")


def test_yesterdays_close_may_lie_outside_todays_limits_before_the_first_trade() -> None:
    bench = Bench(1, rules=ArbiterRules(check_every=1))

    def shown(place: int, volume: int, quotes: float) -> Truth:
        ns = NOON + place * SECOND
        data = market(place, volume=volume, ns=ns, last=300.0, quotes=quotes)
        return Truth(0, place, 20170414, volume, ns, data)

    early, wild, traded = shown(1, 0, 100.0), shown(2, 0, 300.0), shown(3, 1, 100.0)
    assert bench.deliver(0, early, wild, traded) == [early]
    assert bench.dropped == {"limits": 2}


def test_a_line_that_lies_now_and_then_stays_suspect() -> None:
    bench = Bench(2)

    def often(tick: Truth, at: int) -> Truth:
        return dear(tick, at) if at < 400 or at % 3 == 0 else tick

    play(bench, often, liar=1, leads=True, ticks=2400)
    assert bench.kinds() == [("suspect", BACKUP, "limits")]


def test_with_three_lines_the_one_that_never_agrees_is_outvoted() -> None:
    bench = Bench(3)
    # a plausible price, within all limits, that nobody else has
    play(bench, lambda tick, at: told(tick, book=tick.place // 3 + 5000, last=105.0), liar=2, leads=True)
    assert bench.kinds()[0] == ("suspect", THIRD, "lonely")
    assert bench.arbiter.suspects == {THIRD}


def test_two_lines_that_merely_differ_are_both_believed() -> None:
    bench = Bench(2)
    play(bench, lambda tick, at: told(tick, book=tick.place // 3 + 5000), liar=1, leads=True)
    assert bench.events == []


def test_a_line_that_repeats_one_snapshot_while_the_other_moves_is_frozen() -> None:
    bench = Bench(2)
    truth = list(stream(600))
    for at, tick in enumerate(truth):
        bench.deliver(0, tick)
        bench.deliver(1, tick if at < 300 else truth[300 - 3 + tick.contract])
    assert bench.kinds() == [("suspect", BACKUP, "frozen")]
    assert [tick.market for tick in bench.out] == [tick.market for tick in truth]


@pytest.mark.parametrize("leads", [True, False])
@pytest.mark.parametrize("lie", [dear, falling, frozen])
def test_a_line_that_agrees_again_is_believed_again(lie: Lie, leads: bool) -> None:
    bench = Bench(2)

    def sometimes(tick: Truth, at: int) -> Truth:
        return lie(tick, at) if at < 600 else tick

    play(bench, sometimes, liar=1, leads=leads, ticks=1500)
    assert [kind[:2] for kind in bench.kinds() if kind[0] != "withdrawn"] == [("suspect", BACKUP), ("trusted", BACKUP)]
    assert bench.arbiter.suspects == set()
    bench.assert_balanced()
    before = bench.arbiter.published[BACKUP]
    for tick in stream(30, start=1500):
        bench.deliver(1, tick)
        assert bench.deliver(0, tick) == []
    assert bench.arbiter.published[BACKUP] == before + 30


def test_the_last_line_is_published_tick_by_tick_although_it_is_suspect() -> None:
    bench = Bench(2)
    play(bench, dear, liar=1, leads=True, ticks=600)
    bench.arbiter.lost(PRIMARY)
    truth = list(stream(300, start=600))
    for at, tick in enumerate(truth):
        fresh = bench.deliver(1, dear(tick, 0) if at % 2 else tick)
        assert fresh == ([] if at % 2 else [tick])
    bench.assert_balanced()


def test_what_a_liar_published_ahead_of_the_market_is_withdrawn() -> None:
    bench = Bench(2)

    def ahead(tick: Truth, _at: int) -> Truth:
        return told(tick, volume=tick.volume + 1_000_000, scale=1.5)

    truth = play(bench, ahead, liar=1, leads=True)
    assert bench.arbiter.suspects == {BACKUP}
    assert bench.arbiter.withdrawn > 0
    assert [tick.market for tick in bench.out][-300:] == [tick.market for tick in truth[-300:]]


def test_one_tick_far_ahead_does_not_silence_its_contract() -> None:
    bench = Bench(1)
    truth = list(stream(60, contracts=1))
    wild = Truth(0, 999, 20991231, 5, NOON, market(1, volume=5, day=20991231))
    for tick in truth[:10]:
        bench.deliver(0, tick)
    assert bench.deliver(0, wild) == [wild]
    out = [tick for tick in truth[10:] if bench.deliver(0, tick)]
    assert out == truth[10 + ArbiterRules().withdraw_after :]
    assert bench.kinds() == [("withdrawn", PRIMARY, "refuted")]


def test_bytes_that_are_no_tick_are_dropped_and_held_against_the_line() -> None:
    bench = Bench(2, rules=ArbiterRules(check_every=1))
    good = list(stream(30))
    for tick in good:
        bench.deliver(0, tick)
    for number in range(5):
        rubbish = Truth(0, 500 + number, 20170414, 5000 + number, NOON, b"\xc1 no tick")
        assert bench.deliver(1, rubbish) == []
    assert bench.kinds() == [("suspect", BACKUP, "malformed")]
    assert bench.dropped["malformed"] == 5


def test_night_snapshots_dated_a_day_late_drop_and_accuse_nobody() -> None:
    bench = Bench(2)
    for tick in stream(300):
        bench.deliver(0, tick)
        bench.deliver(1, tick)
    for number in range(25):
        ns = NOON + 7 * 3600 * SECOND + number
        late = Truth(0, 0, 20170414, 0, ns, market(number, volume=0, ns=ns))
        assert bench.deliver(0, late) == []
    assert bench.dropped["night_dated_late"] == 25
    assert bench.events == []


def test_a_line_that_is_out_of_order_brings_no_doubles() -> None:
    """Under one key an overtaken tick looks like a book that returned."""
    bench = Bench(2)
    dice = Random(7)
    truth = []
    for place in range(600):
        ns = NOON + place // 3 * SECOND
        truth.append(Truth(0, place, 20170414, place // 9, ns, market(place, volume=place // 9, ns=ns)))
    mixed = list(truth)
    for place in range(0, 598, 2):
        if dice.random() < 0.3:
            mixed[place], mixed[place + 1] = mixed[place + 1], mixed[place]
    for place in range(60):
        bench.deliver(0, truth[place])
        bench.deliver(1, mixed[place])
    early = len(bench.out)
    for place in range(60, 600):
        bench.deliver(0, truth[place])
        bench.deliver(1, mixed[place])
    later = [tick.place for tick in bench.out[early:]]
    assert len(later) == len(set(later))
    assert bench.dropped["disordered"] > 0
    assert bench.events == []
