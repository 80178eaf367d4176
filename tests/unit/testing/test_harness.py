"""The harness: a real gateway around feeds that the test steers."""

from __future__ import annotations

import pytest

from gateway.errors import LineError
from gateway.model import LineState
from gateway.testing import ManualClock, ScriptedFeed, harness
from gateway.testing.builtin import SimCounter

A1, B2 = "SCRIPT.a1", "SCRIPT.b2"


@pytest.mark.parametrize("nats", [False, True], ids=["memory", "nats"])
async def test_a_scripted_tick_reaches_the_consumer_with_its_provenance(nats: bool) -> None:
    async with harness([ScriptedFeed("acme")], nats=nats) as h:
        await h.state("acme:primary", LineState.LOGGED_IN)
        await h.settled()
        sent = h.scripted("acme").tick(A1, last=3.5)
        tick = await h.tick(A1)
        assert (tick.last, tick.volume, tick.line, tick.seq) == (3.5, sent.volume, "acme:primary", 1)
        assert (h.gateway.url is not None) is nats
        assert h.ticks == [tick]


async def test_of_two_lines_the_first_copy_is_published_and_each_can_be_steered_alone() -> None:
    async with harness([ScriptedFeed("acme", accounts=("primary", "backup"))]) as h:
        for line in ("acme:primary", "acme:backup"):
            await h.state(line, LineState.LOGGED_IN)
        await h.settled()
        feed = h.scripted("acme")
        feed.tick(A1, account="backup")
        assert (await h.tick(A1)).line == "acme:backup"
        feed.tick(A1)
        assert (await h.tick(A1)).seq == 2
        feed.lose("the cable", account="backup")
        assert await h.told("acme:backup", LineState.LOST) == "the cable"
        await h.state("acme:primary", LineState.LOGGED_IN)


async def test_a_killed_line_is_started_again_and_subscribed_again() -> None:
    async with harness([ScriptedFeed("acme")]) as h:
        await h.state("acme:primary", LineState.LOGGED_IN)
        await h.settled()
        h.kill("acme:primary")
        assert await h.told("acme:primary", LineState.LOST) == "cancelled"
        await h.told("acme:primary", LineState.LOGGED_IN, times=2)
        await h.settled()
        assert h.scripted("acme").logins["primary"] == 2
        h.scripted("acme").tick(A1)
        await h.tick(A1)


async def test_a_silenced_line_lets_no_tick_through_until_it_is_resumed() -> None:
    async with harness([ScriptedFeed("acme")]) as h:
        await h.state("acme:primary", LineState.LOGGED_IN)
        await h.settled()
        h.silence("acme:primary")
        h.scripted("acme").tick(A1, last=1.0)
        h.resume("acme:primary")
        h.scripted("acme").tick(A1, last=2.0)
        assert (await h.tick(A1)).last == 2.0
        assert len(h.ticks) == 1


async def test_a_storm_ends_the_line_and_a_dropped_connection_does_not() -> None:
    async with harness([ScriptedFeed("acme")]) as h:
        await h.state("acme:primary", LineState.LOGGED_IN)
        await h.settled()
        await h.drop("acme:primary")
        await h.told("acme:primary", LineState.LOGGED_IN, times=2)
        assert h.scripted("acme").logins["primary"] == 1
        h.storm("acme:primary", calls=5000)
        await h.told("acme:primary", LineState.LOGGED_IN, times=3)
        assert h.scripted("acme").logins["primary"] == 2


async def test_a_refused_login_is_told_and_what_does_not_come_is_named_with_where_the_lines_stand() -> None:
    feed = ScriptedFeed("acme")
    await feed.refuse("no such investor")
    async with harness([feed], deadline_s=0.5) as h:
        assert await h.told("acme:primary", LineState.REFUSED) == "no such investor"
        with pytest.raises(AssertionError, match=r"a tick of SCRIPT.a1 did not come .* acme:primary is refused"):
            await h.tick(A1)
        with pytest.raises(LineError, match="it has: acme"):
            h.scripted("sim")


async def test_with_a_manual_clock_time_stands_still() -> None:
    clock = ManualClock()
    async with harness([ScriptedFeed("acme")], clock=clock) as h:
        await h.state("acme:primary", LineState.LOGGED_IN)
        await h.settled()
        h.scripted("acme").tick(A1)
        assert (await h.tick(A1)).recv_ns == clock.wall_ns()


async def test_other_counters_fit_in_too_beside_a_scripted_one() -> None:
    sim = SimCounter()
    async with harness([sim, ScriptedFeed("acme", raw=True)]) as h:
        tick = await h.tick(str(sim.instruments[0]))
        assert tick.line == "sim:primary"
        await h.state("acme:primary", LineState.LOGGED_IN)
        await h.settled()
        h.scripted("acme").bad()
        h.scripted("acme").tick(B2)
        assert (await h.tick(B2)).line == "acme:primary"


async def test_settings_of_the_test_win_over_the_harness_s_own_name_by_name() -> None:
    async with harness([ScriptedFeed("acme")], settings={"lines": {"batch": 7}, "name": "mine"}) as h:
        settings = h.gateway.settings
        assert (settings.name, settings.lines.batch, settings.lines.hung_after_s) == ("mine", 7, 10.0)
