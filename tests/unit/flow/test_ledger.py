"""The ledger: when a gap begins and ends, what was lost in it, and what is covered now."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from gateway.errors import FeedgateError
from gateway.flow.coverage import FixedRules
from gateway.flow.gaps import Seen, lost_volume
from gateway.flow.phases import AlwaysOpen, Hours, shanghai
from gateway.model import Instrument, LineId
from tests.unit.flow.ledger_market import AU, RB, A, B, Futures, Market, at


async def covered(now: str = "29 09:30:00", *lines: LineId) -> Market:
    """rb2510 wanted, confirmed and ticking."""
    market = Market(now)
    for line in lines or (A,):
        market.ledger.covered(line, [RB])
    market.ledger.wanted("ctp", [RB])
    market.ticks(RB, 100)
    market.ledger.tick()
    return market


async def test_a_gap_runs_from_the_loss_of_the_line_to_its_confirmation_and_closes_at_the_first_tick():
    market = await covered()
    await market.until("29 09:30:10")
    market.ledger.line_lost(A, "front refused")
    market.ledger.tick()
    assert market.told() == ["opened rb2510 09:30:10"]
    await market.until("29 09:30:14")
    market.ledger.covered(A, [RB])
    market.ledger.tick()
    assert len(market.events) == 1  # nobody knows yet what was lost
    await market.passes(1)
    market.ticks(RB, 117)
    market.ledger.tick()
    gap = market.events[-1].gap
    assert market.told()[1:] == ["closed rb2510 09:30:10-09:30:14 lost 17"]
    assert (gap.trading_day, gap.session, gap.reason) == (20250829, "day", "ctp:primary: front refused")
    assert gap.lines == {"ctp:primary": "front refused"}
    assert gap.before is not None
    assert gap.after is not None
    assert (gap.before.recv_ns, gap.after.recv_ns) == (at("29 09:30:00"), at("29 09:30:15"))
    assert (gap.skipped, gap.ending, gap.open_ns) == (0, "covered", 4_000_000_000)


async def test_the_loss_of_one_of_two_lines_is_no_gap_and_the_loss_of_both_names_both():
    market = await covered("29 09:30:00", A, B)
    market.ledger.line_lost(A, "kicked off")
    await market.passes(5)
    assert market.events == []
    market.ledger.uncovered(B, [RB], "refused by the counter")
    await market.passes(1)
    assert market.events[0].gap.lines == {"ctp:primary": "kicked off", "ctp:backup": "refused by the counter"}
    assert market.events[0].gap.reason == "ctp:backup: refused by the counter"


async def test_a_wanted_contract_that_no_line_ever_confirmed_is_a_gap_from_the_moment_it_was_wanted():
    market = Market("29 09:30:00")
    market.ledger.wanted("ctp", [RB])
    await market.passes(3)
    market.ledger.covered(A, [RB])
    market.ticks(RB, 5)
    await market.passes(1)
    assert market.told() == ["opened rb2510 09:30:00", "closed rb2510 09:30:00-09:30:03 lost None"]


async def test_a_newly_wanted_contract_has_a_moment_to_be_confirmed_and_none_to_be_lost():
    market = Market("29 09:30:00", grace_s=5)
    market.ledger.wanted("ctp", [RB, AU])
    await market.passes(4)
    market.ledger.covered(A, [RB])
    await market.passes(2)
    assert market.told() == ["opened au2512 09:30:00"]
    market.ledger.line_lost(A, "lost")
    assert market.told()[1:] == ["opened rb2510 09:30:06"]


@pytest.mark.parametrize("lost", ["29 10:20:00", "29 11:45:00", "29 05:00:00"])
async def test_a_gap_that_lies_in_a_break_or_out_of_session_is_none(lost: str):
    market = await covered(lost)
    market.ledger.line_lost(A, "planned")
    await market.passes(300)
    market.ledger.covered(A, [RB])
    market.ticks(RB, 500)
    await market.passes(60)
    assert market.events == []


async def test_a_gap_that_begins_in_a_break_counts_from_the_reopening():
    market = await covered("29 10:20:00")
    market.ledger.line_lost(A, "lost")
    await market.until("29 10:30:07")
    assert market.told() == ["opened rb2510 10:30:00"]
    assert market.events[0].gap.outage_ns == at("29 10:20:00")


async def test_a_gap_that_ends_in_a_break_ends_where_the_break_begins():
    market = await covered("29 10:14:00")
    market.ledger.line_lost(A, "lost")
    await market.until("29 10:20:00")
    market.ledger.covered(A, [RB])
    market.ticks(RB, 130)
    market.ledger.tick()
    assert market.told()[-1] == "closed rb2510 10:14:00-10:15:00 lost 30"


async def test_a_gap_over_a_break_is_one_record_whose_open_time_leaves_the_break_out():
    market = await covered("29 10:14:00")
    market.ledger.line_lost(A, "lost")
    await market.until("29 10:16:00")
    await market.until("29 10:31:00")
    market.ledger.covered(A, [RB])
    market.ticks(RB, 130)
    market.ledger.tick()
    assert market.told() == ["opened rb2510 10:14:00", "closed rb2510 10:14:00-10:31:00 lost 30"]
    assert market.events[-1].gap.open_ns == 120 * 10**9


async def test_a_gap_is_cut_at_the_close_and_goes_on_in_the_night_session_of_the_next_trading_day():
    market = await covered("29 14:59:00")
    market.ledger.line_lost(A, "lost")
    await market.until("29 15:01:00")
    assert market.told()[1:] == ["closed rb2510 14:59:00-15:00:00 lost None"]
    await market.until("29 21:10:00")
    market.ledger.covered(A, [RB])
    market.ticks(RB, 40, day=20250830)
    market.ledger.tick()
    assert market.told()[2:] == ["opened rb2510 20:55:00", "closed rb2510 20:55:00-21:10:00 lost 40"]
    days = [(event.gap.trading_day, event.gap.session) for event in market.events]
    assert days == [(20250829, "day")] * 2 + [(20250830, "night")] * 2


async def test_a_session_that_passed_while_nobody_looked_is_cut_all_the_same():
    market = await covered("29 14:59:00")
    market.ledger.line_lost(A, "lost")
    market.ledger.tick()
    await market.until("30 09:05:00")  # one round for the whole evening
    assert market.told() == [
        "opened rb2510 14:59:00",
        "closed rb2510 14:59:00-15:00:00 lost None",
        "opened rb2510 20:55:00",
        "closed rb2510 20:55:00-23:00:00 lost None",
        "opened rb2510 08:55:00",
    ]


async def test_the_snapshot_after_the_close_tells_what_the_cut_gap_lost():
    market = await covered("29 14:59:00")
    market.ledger.line_lost(A, "lost")
    await market.until("29 15:05:00")
    market.ledger.covered(A, [RB])
    market.ledger.tick()
    market.ticks(RB, 160)
    for _ in range(10):
        await market.passes(0.1)
    assert market.told()[-1] == "measured rb2510 14:59:00-15:00:00 lost 60"
    assert market.events[-1].gap.id == market.events[-2].gap.id


async def test_a_quiet_contract_is_closed_without_a_tick_and_measured_when_one_comes():
    market = await covered()
    market.ledger.line_lost(A, "lost")
    await market.passes(1)
    market.ledger.covered(A, [RB])
    market.ledger.tick()
    await market.passes(9)
    assert len(market.events) == 1
    await market.passes(2)
    assert market.told()[1:] == ["closed rb2510 09:30:00-09:30:01 lost None"]
    market.ticks(RB, 100)
    for _ in range(10):
        await market.passes(0.1)
    assert market.told()[2:] == ["measured rb2510 09:30:00-09:30:01 lost 0"]


async def test_ticks_that_were_published_before_the_ledger_looked_make_the_loss_an_upper_bound():
    market = await covered()
    market.ledger.line_lost(A, "lost")
    await market.passes(1)
    market.ledger.covered(A, [RB])
    for volume in (110, 120, 130):
        market.ticks(RB, volume)
    await market.passes(0.1)
    gap = market.events[-1].gap
    assert (gap.lost_volume, gap.skipped) == (30, 2)


async def test_a_tick_that_was_under_way_when_the_line_died_is_the_last_one_before_the_gap():
    market = await covered()
    received = market.clock.wall_ns()
    await market.passes(1)
    market.ledger.line_lost(A, "killed")
    market.ledger.tick()
    market.ticks(RB, 108)
    topic = market.topics[RB]
    late = Market("29 09:30:00")
    late.ticks(RB, 108)
    topic.payload, topic.recv_ns = late.topics[RB].payload, received  # stamped a second before the loss
    await market.passes(1)
    market.ledger.covered(A, [RB])
    market.ledger.tick()
    market.ticks(RB, 111)
    market.ledger.tick()
    gap = market.events[-1].gap
    assert (gap.before, gap.lost_volume) == (Seen(received, 20250829, 108), 3)


async def test_a_second_loss_before_the_first_tick_leaves_the_volume_to_the_second_gap():
    market = await covered()
    market.ledger.line_lost(A, "first")
    await market.passes(1)
    market.ledger.covered(A, [RB])
    await market.passes(1)
    market.ledger.line_lost(A, "second")
    await market.passes(1)
    market.ledger.covered(A, [RB])
    market.ticks(RB, 109)
    await market.passes(1)
    assert market.told() == [
        "opened rb2510 09:30:00",
        "closed rb2510 09:30:00-09:30:01 lost None",
        "opened rb2510 09:30:02",
        "closed rb2510 09:30:02-09:30:03 lost 9",
    ]


async def test_a_line_that_was_silent_before_that_was_noticed_is_lost_since_its_silence():
    market = await covered()
    await market.until("29 09:30:30")
    market.ledger.line_lost(A, "silent for 3.0 s", since_ns=at("29 09:30:27"))
    market.ledger.tick()
    assert market.told() == ["opened rb2510 09:30:27"]


async def test_silence_is_never_dated_before_the_contract_was_covered():
    market = await covered()
    market.ledger.line_lost(A, "silent", since_ns=at("29 09:00:00"))
    market.ledger.tick()
    assert market.told() == ["opened rb2510 09:30:00"]


async def test_a_contract_that_is_no_longer_wanted_ends_its_gap():
    market = await covered()
    market.ledger.line_lost(A, "lost")
    await market.passes(2)
    market.ledger.wanted("ctp", [AU])
    market.ledger.covered(A, [AU])
    market.ledger.tick()
    gap = next(event.gap for event in market.events if event.kind == "closed")
    assert (gap.instrument, gap.ending, gap.end_ns) == ("SHFE.rb2510", "no longer wanted", at("29 09:30:02"))


async def test_a_contract_wanted_again_while_its_line_still_carries_it_is_covered_at_once():
    market = await covered()
    market.ledger.wanted("ctp", [])
    market.ledger.wanted("ctp", [RB])
    await market.passes(5)
    assert market.events == []


async def test_a_feed_without_sessions_is_always_in_session():
    market = Market("29 03:00:00", phases=AlwaysOpen())
    market.ledger.wanted("sim", [RB])
    await market.passes(1)
    assert market.told() == ["opened rb2510 03:00:00"]


async def test_without_a_session_rule_a_contract_counts_as_open_and_that_is_said_once(caplog):
    class NoRule(Futures):
        def phase(self, instrument: Instrument, moment_ns: int) -> str:
            raise FeedgateError("no session table for product xx")

    hours = Hours(NoRule(), RB)
    assert hours.at(at("29 03:00:00")).phase == "open"
    assert hours.at(at("29 03:05:00")).trading_day == 20250829
    assert caplog.text.count("no session table for product xx") == 1


async def test_the_machines_clock_being_set_is_noted(caplog):
    market = await covered()
    market.clock._wall_start_ns += 60 * 10**9
    market.ledger.tick()
    assert "set by +60.0 s" in caplog.text


async def test_a_large_loss_is_worked_off_in_slices_so_that_the_loop_stays_free():
    many = [Instrument("SHFE", f"rb{number}") for number in range(5000)]
    market = Market("29 09:30:00")
    market.ledger.covered(A, many)
    market.ledger.wanted("ctp", many)
    task = asyncio.create_task(market.ledger.run())
    await market.clock.advance(1)
    while market.ledger.open_gaps or market.ledger._inbox:
        await asyncio.sleep(0)
    market.ledger.line_lost(A, "lost")
    seen = [market.ledger.open_gaps]
    passing = asyncio.create_task(market.clock.advance(0.2))
    while market.ledger.open_gaps < len(many):
        await asyncio.sleep(0)
        seen.append(market.ledger.open_gaps)
    assert max(after - before for before, after in itertools.pairwise(seen)) <= 500
    await passing
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_coverage_counts_what_ticks_what_is_quiet_and_what_is_missing():
    market = Market("29 09:30:00")
    names = ["ticking", "slow", "stalled", "never", "missing"]
    ticking, slow, stalled, never, missing = (Instrument("SHFE", name) for name in names)
    market.ledger.wanted("ctp", [ticking, slow, stalled, never, missing])
    market.ledger.covered(A, [ticking, stalled, slow, never, AU])
    market.ticks(stalled, 1)
    await market.passes(50)
    market.ticks(slow, 1)
    await market.passes(30)
    market.ticks(ticking, 1)
    (now,) = market.ledger.coverage(FixedRules())
    assert (now.feed, now.session, now.wanted, now.confirmed, now.ticking) == ("ctp", "day", 5, 4, 1)
    assert set(now.quiet) == {slow, never}
    assert (now.stalled, now.missing, now.unexpected) == ((stalled,), (missing,), (AU,))
    assert now.ratio == 0.8
    await market.until("29 10:20:00")
    (pause,) = market.ledger.coverage(FixedRules())
    assert pause.stalled == ()  # silence in a break is no stall
    market.ledger.covered(B, [missing])
    market.ledger.line_lost(A, "lost")
    (down,) = market.ledger.coverage(FixedRules())
    assert (down.confirmed, down.unexpected) == (1, ())


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        ((20250829, 100), (20250829, 130), 30),
        ((20250829, 100), (20250829, 100), 0),
        ((20250829, 100), (20250829, 90), None),  # a volume that goes back is no evidence
        ((20250828, 9000), (20250829, 30), 30),  # a new trading day begins with 0
        ((20250828, 9000), (20250829, 0), 0),
        ((20250829, 100), (20250830, 7), None),  # the first tick after is of the next day
        ((20250830, 1), (20250829, 7), None),
        (None, (20250829, 30), None),
        (None, (20250829, 0), 0),  # nothing traded all day
        (None, (20250828, 0), None),
        ((20250829, 100), None, None),
        ((20170414, 100), (20170414, 130), 30),  # a replay: both ticks of a day that the rules do not know
    ],
)
def test_lost_volume_is_what_two_ticks_prove(before, after, lost):
    seen = [None if one is None else Seen(0, *one) for one in (before, after)]
    assert lost_volume(*seen, trading_day=20250829) == lost


def test_an_auction_belongs_to_the_session_that_it_opens():
    hours = Hours(Futures(), RB)
    assert hours.at(at("29 20:56:00"))[2:] == ("auction", 20250830, "night")
    assert hours.at(at("29 08:56:00"))[2:] == ("auction", 20250829, "day")
    spans = [
        (f"{shanghai(one.start_ns):%H:%M}", one.phase) for one in hours.trading(at("29 10:00:00"), at("29 14:00:00"))
    ]
    assert spans == [("10:00", "open"), ("10:30", "open"), ("13:30", "open")]


async def test_a_line_found_silent_afterwards_covered_nothing_while_the_other_one_was_away():
    market = await covered("29 09:30:00", A, B)
    await market.until("29 09:30:10")
    market.ledger.line_lost(A, "killed")  # B has been silent since 09:30:09, and nobody has noticed yet
    await market.until("29 09:30:13")
    market.ledger.covered(A, [RB])
    await market.until("29 09:30:15")
    assert market.events == []
    market.ledger.line_lost(B, "silent in session", since_ns=at("29 09:30:09"))
    await market.passes(1)
    assert market.told() == ["opened rb2510 09:30:10", "closed rb2510 09:30:10-09:30:13 lost None"]
    gap = market.events[-1].gap
    assert (gap.ending, gap.reason, gap.before, gap.after) == ("covered", f"{B}: silent in session", None, None)
    assert market.ledger.open_gaps == 0


async def test_a_line_found_silent_only_after_the_other_one_was_back_leaves_no_gap():
    market = await covered("29 09:30:00", A, B)
    market.ledger.line_lost(A, "killed")
    await market.until("29 09:30:03")
    market.ledger.covered(A, [RB])
    await market.until("29 09:30:15")
    market.ledger.line_lost(B, "silent in session", since_ns=at("29 09:30:05"))
    await market.passes(1)
    assert market.events == []
