"""What failover and watchdog see of a feed, and how a plan becomes orders to its lines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.control.routing.primary_backup import PrimaryBackup
from gateway.control.routing.shard import Shard
from gateway.lines.messages import Refused, Subscribe, Unsubscribe
from gateway.model import Instrument, LineState
from gateway.plan import ALL, Plan
from gateway.settings import WatchSettings
from tests.unit.control.steered_feed import AG, AU, CU, RB, Rig, rig
from tests.unit.lines.scripted_host import ScriptedHost, settle, until

A, B = "ctp:primary", "ctp:backup"
COLD_A = Plan(prefer=A, login=frozenset({A}), carry={A: ALL})
COLD_B = Plan(prefer=B, login=frozenset({B}), carry={B: ALL})
HOT = Plan(prefer=A, login=frozenset({A, B}), carry={A: ALL, B: ALL})


def shares(a: set[Instrument], b: set[Instrument], prefer: str = A) -> Plan:
    return Plan(prefer=prefer, login=frozenset({A, B}), carry={A: frozenset(a), B: frozenset(b)})


class Orders:
    """What lines and subscriptions are ordered, in the order of giving."""

    def __init__(self, play: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given: list[tuple[str, str]] = []
        for name, line in play.lines.items():
            for verb in ("wake", "park"):
                self._note(monkeypatch, line, name, verb)
            for verb in ("want", "release"):
                self._note(monkeypatch, play.feed.subscriptions[line.id], name, verb)

    def _note(self, monkeypatch: pytest.MonkeyPatch, what: Any, name: str, verb: str) -> None:
        real: Callable[..., Any] = getattr(what, verb)

        def noted(*args: Any) -> Any:
            self.given.append((verb, name))
            return real(*args)

        monkeypatch.setattr(what, verb, noted)

    def last(self, *verbs: str) -> int:
        return max(at for at, (verb, _) in enumerate(self.given) if verb in verbs)

    def first(self, *verbs: str) -> int:
        return min(at for at, (verb, _) in enumerate(self.given) if verb in verbs)


# -- what is wanted ------------------------------------------------------------------------------------------------


async def test_the_wanted_set_is_the_same_object_while_nothing_changed(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        before = play.steering.wanted()
        assert before == {RB, AG}
        assert play.steering.wanted() is before
        play.steering.facts()
        await play.steering.apply(HOT)
        play.steering.want([RB])
        play.steering.release([CU])
        assert play.steering.wanted() is before
        play.steering.want([CU])
        assert play.steering.wanted() == {RB, AG, CU}
        assert before == {RB, AG}
        more = play.steering.wanted()
        play.steering.release([RB])
        assert play.steering.wanted() == {AG, CU}
        assert more == {RB, AG, CU}, "whoever keeps a set to compare with must see that there is another one now"
        assert {type(one) for one in (before, more, play.steering.wanted())} == {frozenset}


async def test_a_router_that_remembers_its_last_question_sees_what_was_released(tmp_path: Path) -> None:
    async with rig(tmp_path, router=Shard(), capacity=2, begin=(RB, AG, CU, AU)) as play:
        await play.up()
        await play.watch.failover.look()
        await play.oversight.release("ctp", [RB, CU])
        assert sorted(one for carried in play.watch.failover.plan.carry.values() for one in carried) == [AG, AU]


async def test_what_is_wanted_more_goes_at_once_to_the_lines_that_carry_everything(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await play.steering.apply(COLD_A)
        play.steering.want([CU])
        assert play.wanted(A) == [AG, CU, RB]
        assert CU not in play.wanted(B)
        await play.steering.apply(shares({RB}, {AG}))
        play.steering.want([AU])
        assert play.wanted(A) == [RB], "the plan decides where it goes"
        assert play.wanted(B) == [AG]


async def test_what_is_released_is_released_on_every_line(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await play.up()
        play.steering.release([RB])
        assert play.wanted(A) == play.wanted(B) == [AG]
        await until(lambda: all(Unsubscribe([RB]) in play.host(line).orders for line in (A, B)))


async def test_a_contract_that_a_line_was_refused_is_asked_for_again_when_somebody_wants_it_not_by_a_new_plan(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as play:
        await play.up()
        for line in (A, B):
            play.host(line).say(Refused(RB, "CTP:no such instrument"))
        await play.steering.apply(COLD_A)
        await play.steering.apply(HOT)
        failed = play.feed.subscriptions[play.lines[A].id].failed
        assert failed == {RB: "CTP:no such instrument"}
        play.steering.want([RB])
        assert not failed
        await play.up(A)
        assert play.confirmed(A) == [AG, RB]


async def test_a_refused_contract_that_is_wanted_anew_is_asked_for_at_the_line_that_has_it_as_its_share(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as play:
        await play.steering.apply(shares({RB}, {AG}))
        await play.up()
        play.host(A).say(Refused(RB, "CTP:no such instrument"))
        play.steering.want([RB])
        await play.up()
        assert (play.confirmed(A), play.confirmed(B)) == ([RB], [AG])


# -- apply ---------------------------------------------------------------------------------------------------------


async def test_all_are_asked_to_carry_before_any_is_asked_to_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(tmp_path) as play:
        await play.steering.apply(COLD_A)
        orders = Orders(play, monkeypatch)
        await play.steering.apply(COLD_B)
        assert orders.last("want", "wake") < orders.first("release", "park")
        assert ("wake", B) in orders.given
        assert ("park", A) in orders.given
        orders.given.clear()
        await play.steering.apply(shares({RB}, {AG}))
        assert orders.last("want", "wake") < orders.first("release", "park")


async def test_a_line_wants_its_share_before_it_is_woken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(tmp_path) as play:
        await play.steering.apply(COLD_A)
        orders = Orders(play, monkeypatch)
        await play.steering.apply(HOT)
        assert orders.given.index(("want", B)) < orders.given.index(("wake", B))


async def test_a_plan_parks_wakes_and_names_who_is_active(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await play.steering.apply(COLD_A)
        assert not play.lines[A].parked
        assert play.lines[B].parked
        assert play.pipeline.feeds["ctp"].active == play.lines[A].id
        await play.up(A)
        await play.steering.apply(COLD_B)
        assert play.lines[A].parked
        assert play.wanted(A) == []
        assert play.pipeline.feeds["ctp"].active == play.lines[B].id
        await play.up(B)
        assert play.confirmed(B) == [AG, RB]
        await play.steering.apply(Plan())
        assert play.lines[B].parked
        assert play.pipeline.feeds["ctp"].active is None


async def test_a_share_that_moves_is_subscribed_here_and_unsubscribed_there(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await play.steering.apply(shares({RB, AG}, set()))
        await play.up()
        await play.steering.apply(shares({RB}, {AG}))
        await play.up()
        await until(lambda: play.confirmed(A) == [RB] and play.confirmed(B) == [AG])
        await until(lambda: Unsubscribe([AG]) in play.host(A).orders)


async def test_a_plan_that_is_applied_again_orders_nothing_anew(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await play.up()
        orders = {line: list(play.host(line).orders) for line in (A, B)}
        for _ in range(3):
            await play.steering.apply(HOT)
        await settle()
        assert {line: play.host(line).orders for line in (A, B)} == orders
        assert [len(play.scripts[line].hosts) for line in (A, B)] == [1, 1]


# -- facts ---------------------------------------------------------------------------------------------------------


async def test_the_facts_are_those_of_the_lines(tmp_path: Path) -> None:
    async with rig(tmp_path, capacity=7) as play:
        await play.up()
        play.tick(A, RB)
        await play.die(B)
        await play.steering.apply(COLD_A)
        await until(lambda: play.lines[B].state is LineState.IDLE)
        a, b = play.steering.facts()
        assert (a.name, a.state, a.role, a.restarts, a.capacity) == (A, LineState.STREAMING, "hot", 0, 7)
        assert (b.name, b.state, b.role, b.restarts, b.capacity) == (B, LineState.IDLE, "cold", 1, 7)
        assert b.since_ns == play.lines[B].since_ns
        assert not a.suspect
        record = play.pipeline.feeds["ctp"].arbiter._lines[play.lines[A].id]
        record.suspect = True
        assert [one.suspect for one in play.steering.facts()] == [True, False]


async def test_the_shares_of_first_ticks_are_of_a_stretch_not_of_ever(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await play.up()

        def share() -> tuple[float, ...]:
            return tuple(one.first_share for one in play.steering.facts())

        def first(line: str, volumes: range) -> None:
            for volume in volumes:
                play.clock._now += 0.001
                play.tick(line, RB, volume=volume)

        assert share() == (0.0, 0.0)
        play.tick(B, AG)  # both have ticked, so that they count
        play.tick(A, AG)
        first(A, range(1, 5))
        await play.clock.advance(30)
        assert share() == (0.8, 0.2)
        first(B, range(5, 9))
        assert share() == (0.8, 0.2), "the stretch is not over"
        await play.clock.advance(30)
        assert share() == (0.0, 1.0)
        await play.clock.advance(30)
        assert share() == (0.0, 1.0), "a stretch without a tick says nothing"


# -- ticks ---------------------------------------------------------------------------------------------------------


async def test_the_first_tick_after_a_moment_is_found_in_the_batches(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await play.up()
        after = play.steering.first_tick_after
        assert after(A, None, 0) is None
        host = play.host(A)
        host.batch([(RB, 100), (AG, 110), (RB, 120)])
        host.batch([(AG, 200)])
        host.batch([(RB, 300), (RB, 310)])
        assert after(A, None, 0) == 100
        assert after(A, None, 99) == 100
        assert after(A, None, 100) == 120, "within a batch, its last tick: an upper bound"
        assert after(A, None, 119) == 120
        assert after(A, None, 120) == 200
        assert after(A, None, 250) == 300
        assert after(A, None, 310) is None
        assert after(B, None, 0) is None


async def test_of_one_contract_the_latest_tick_counts(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await play.up()
        play.host(A).batch([(RB, 100), (AG, 110), (RB, 120)])
        after, last = play.steering.first_tick_after, play.steering.last_tick_ns
        assert (after(A, RB, 100), after(A, RB, 120), after(A, AG, 0)) == (120, None, 110)
        assert (last(A), last(A, RB), last(A, AG)) == (120, 120, 110)
        assert (after(A, CU, 0), last(A, CU)) == (None, None), "never seen"
        assert (after(B, RB, 0), last(B), last(B, RB)) == (None, None, None)
        assert set(play.steering.ticking(A)) == {RB, AG}
        assert list(play.steering.ticking(B)) == []


async def test_confirmed_contracts_are_counted(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await play.up()
        assert play.steering.confirmed(A) == 2
        await play.die(A)
        assert play.steering.confirmed(A) == 0


# -- probes --------------------------------------------------------------------------------------------------------


def probing(**rules: float) -> dict[str, Any]:
    return {"watch": WatchSettings(**{"probe_s": 5, **rules})}


async def test_a_probe_subscribes_the_busiest_contract_again_and_a_tick_is_the_answer(tmp_path: Path) -> None:
    async with rig(tmp_path, **probing()) as play:
        await play.up()
        for volume in range(1, 4):
            play.clock._now += 0.001
            play.tick(A, AG, volume=volume)
        play.tick(A, RB)
        host = play.host(A)
        play.clock._now += 1

        def answer(one: ScriptedHost, instruments: list[Instrument]) -> None:
            one.ticks(play.clock.wall_ns(), *instruments, volume=3)

        play.scripts[A].on_subscribe = answer
        host.orders.clear()
        assert await play.steering.probe(A)
        assert host.orders == [Subscribe([AG])]
        assert play.confirmed(A) == [AG, RB]


async def test_a_probe_that_brings_no_tick_within_its_time_is_no_sign_of_life(tmp_path: Path) -> None:
    async with rig(tmp_path, **probing(probe_s=0.05)) as play:
        await play.up()
        play.tick(A, RB)
        assert not await play.steering.probe(A)
        assert play.host(A).orders[-1] == Subscribe([RB])


async def test_a_probe_whose_call_never_returns_ends_with_its_time(tmp_path: Path) -> None:
    async with rig(tmp_path, **probing(probe_s=0.05)) as play:
        await play.up()
        play.scripts[A].calls = False
        assert not await play.steering.probe(A)


async def test_a_probe_of_a_line_that_ends_meanwhile_is_no_sign_of_life(tmp_path: Path) -> None:
    async with rig(tmp_path, **probing(probe_s=60)) as play:
        await play.up()
        play.scripts[A].calls = False
        probe = asyncio.create_task(play.steering.probe(A))
        await settle()
        await play.die(A)
        async with asyncio.timeout(60):
            assert not await probe


async def test_a_line_that_is_not_up_or_carries_nothing_is_not_asked(tmp_path: Path) -> None:
    async with rig(tmp_path, begin=None, **probing(probe_s=60)) as play:
        await play.steering.apply(COLD_A)
        await until(lambda: play.lines[A].state.is_up)
        assert not await play.steering.probe(A), "it carries nothing"
        assert not await play.steering.probe(B), "it is parked"
        assert play.host(A).orders == []


# -- peers and leaders ---------------------------------------------------------------------------------------------


def peers(play: Rig) -> dict[str, set[str]]:
    return {sight.name: set(sight.peers) for sight in play.steering.lines()}


def leaders(play: Rig) -> list[str]:
    return [sight.name for sight in play.steering.lines() if sight.leads]


async def test_hot_lines_are_peers_and_the_first_that_is_up_leads(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await play.up()
        assert peers(play) == {A: {B}, B: {A}}
        assert leaders(play) == [A]
        await play.die(A)
        assert leaders(play) == [A, B], "a line that is down leads nobody, and is not judged"
        assert [sight.up for sight in play.steering.lines()] == [False, True]


async def test_shards_are_no_peers_and_each_leads(tmp_path: Path) -> None:
    async with rig(tmp_path, router=Shard(), capacity=2, begin=(RB, AG, CU, AU)) as play:
        await play.up()
        await play.watch.failover.look()  # a line that is up can be given a share
        await play.up()
        assert sorted(play.confirmed(A) + play.confirmed(B)) == [AG, AU, CU, RB]
        assert peers(play) == {A: set(), B: set()}
        assert leaders(play) == [A, B]


async def test_a_parked_line_is_nobodys_peer(tmp_path: Path) -> None:
    async with rig(tmp_path, router=PrimaryBackup("cold")) as play:
        await play.up(A)
        assert peers(play) == {A: set(), B: set()}
        a, b = play.steering.lines()
        assert (a.up, b.up) == (True, False)
        assert a.leads


async def test_a_third_line_with_other_contracts_is_no_peer_of_the_pair(tmp_path: Path) -> None:
    async with rig(tmp_path, "primary", "backup", "third") as play:
        pair, c = frozenset({RB, AG}), "ctp:third"
        await play.steering.apply(
            Plan(prefer=A, login=frozenset({A, B, c}), carry={A: pair, B: pair, c: frozenset({CU})})
        )
        assert peers(play) == {A: {B}, B: {A}, c: set()}
        await play.up()
        assert leaders(play) == [A, c]


async def test_a_sight_is_the_line_as_of_now(tmp_path: Path) -> None:
    async with rig(tmp_path) as play:
        await play.up()
        a = play.steering.lines()[0]
        assert (a.name, a.ticks, a.last_tick_ns) == (A, 0, 0)
        moment = play.tick(A, RB)
        assert (a.ticks, a.last_tick_ns) == (1, moment)
        assert a.up_since_ns == play.lines[A].up_since_ns
        assert {mark.instrument for mark in a.marks} == {RB, AG}
        play.lines[A].park()
        assert not a.up, "it is not meant to be up, although it has not ended yet"
