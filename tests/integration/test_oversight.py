"""Who watches over the lines of a running gateway: switches, silence, sessions, gaps, and what is said about them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest

from gateway import FeedSettings, Gateway, LineState, Settings, connect
from gateway.calendar import CalendarError
from gateway.clock import SystemClock
from gateway.control.events import ControlEvent, LineSilent, LineStateChanged, PhaseChanged, Switch
from gateway.control.failover import SwitchRefusedError
from gateway.errors import ControlError
from gateway.flow.gaphistory import read_day
from gateway.settings import (
    AccountSettings,
    BusSettings,
    FailoverSettings,
    LedgerSettings,
    MetricsSettings,
    SubscriptionSettings,
    WatchSettings,
)
from gateway.testing.nats import NatsServer

TWO = {"primary": AccountSettings(), "backup": AccountSettings()}


def settings(path: Path | None = None, *, router: str = "all_hot", host: str = "child", **options: Any) -> Settings:
    feed = FeedSettings(
        kind="sim", host=host, router=router, accounts=TWO, options={"contracts": 40, "rate": 2000} | options
    )
    return Settings(
        feeds={"sim": feed},
        bus=BusSettings(kind="memory"),
        metrics=MetricsSettings(enabled=False),
        ledger=LedgerSettings(path=path),
        failover=FailoverSettings(cooldown_s=0.1),
    )


async def until(true: Callable[[], bool], limit_s: float = 30) -> None:
    async with asyncio.timeout(limit_s):
        while not true():
            await asyncio.sleep(0.01)


class Heard:
    """Everything that a gateway says on ``md.event.>``."""

    def __init__(self, gw: Gateway) -> None:
        self.events: list[ControlEvent] = []
        self._stream = gw.bus.subscribe("md.event.>")
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for message in self._stream:
            self.events.append(msgspec.json.decode(message.data, type=ControlEvent))

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def __aenter__(self) -> Self:
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def states(gw: Gateway) -> dict[str, LineState]:
    return {line.line: line.state for line in gw.lines()}


def roles(gw: Gateway) -> dict[str, str]:
    return {line.line: line.role for line in gw.lines()}


async def streaming(gw: Gateway, *lines: str) -> None:
    """These stream and have everything confirmed."""
    await until(
        lambda: all(
            line.state is LineState.STREAMING and line.confirmed == line.wanted > 0
            for line in gw.lines()
            if line.line in lines
        )
    )


def kill(gw: Gateway, line: str, how: int = signal.SIGKILL) -> None:
    pid = gw.line_pid(line)
    assert pid is not None
    os.kill(pid, how)


async def test_a_failover_and_a_failback_on_command_change_who_is_active_and_lose_nothing() -> None:
    async with Gateway(settings()) as gw, Heard(gw) as heard:
        await streaming(gw, "sim:primary", "sim:backup")
        there = await gw.failover("sim", "a test")
        assert (there.ok, there.target, there.trigger) == (True, "sim:backup", "command"), there
        assert roles(gw) == {"sim:primary": "hot", "sim:backup": "active"}
        back = await gw.failback("sim", "a test")
        assert (back.ok, back.target) == (True, "sim:primary"), back
        assert there.latency_ms == 0, "both lines were there all the time"
        assert roles(gw) == {"sim:primary": "active", "sim:backup": "hot"}
        await until(lambda: len(heard.of(Switch)) == 2)
    assert gw.balance().dropped.keys() <= {"arbitrate", "ship"}


async def test_a_cold_backup_takes_over_everything_when_the_line_dies_and_seq_goes_on() -> None:
    async with Gateway(settings(router="primary_backup_cold")) as gw, Heard(gw) as heard:
        await streaming(gw, "sim:primary")
        assert roles(gw) == {"sim:primary": "active", "sim:backup": "cold"}
        assert states(gw)["sim:backup"] is LineState.IDLE
        tap = gw.ticks("*")
        first = await anext(tap)
        assert first.line == "sim:primary"
        kill(gw, "sim:primary")
        await until(lambda: bool(heard.of(Switch)))
        switch = heard.of(Switch)[0]
        assert (switch.ok, switch.target, switch.trigger) == (True, "sim:backup", "line_lost"), switch
        assert switch.latency_ms is not None
        assert switch.latency_ms > 0
        assert switch.measured > 0
        await streaming(gw, "sim:backup")
        assert roles(gw) == {"sim:primary": "cold", "sim:backup": "active"}
        await until(lambda: states(gw)["sim:primary"] is LineState.IDLE)
        before = {str(first.instrument): first.seq}
        seen = {first.line}
        async for tick in tap:
            name = str(tick.instrument)
            assert tick.seq == before.get(name, tick.seq - 1) + 1
            before[name] = tick.seq
            seen.add(tick.line)
            if seen == {"sim:primary", "sim:backup"}:
                break
        await tap.aclose()


async def test_a_failed_switch_says_why_and_leaves_what_was() -> None:
    refused = {"faults": [{"kind": "refuse_login", "lines": ["backup"]}]}
    rules = settings(router="primary_backup_cold", **refused)
    rules = rules.model_copy(update={"failover": FailoverSettings(up_s=0.5)})
    async with Gateway(rules) as gw:
        await streaming(gw, "sim:primary")
        switch = await gw.failover("sim", "a test")
        assert not switch.ok
        assert "sim:backup did not log in" in switch.error
        assert roles(gw) == {"sim:primary": "active", "sim:backup": "cold"}
        assert states(gw)["sim:primary"] is LineState.STREAMING
        await until(lambda: states(gw)["sim:backup"] is LineState.IDLE)
        assert any("failed" in warning for warning in gw._core.desk.warnings())


async def test_a_switch_is_refused_while_another_one_runs_and_for_a_line_that_does_not_exist() -> None:
    refused = {"faults": [{"kind": "refuse_login", "lines": ["backup"]}]}
    rules = settings(router="primary_backup_cold", **refused)
    rules = rules.model_copy(update={"failover": FailoverSettings(up_s=1)})
    async with Gateway(rules) as gw:
        await streaming(gw, "sim:primary")
        first = asyncio.create_task(gw.failover("sim", "a test"))
        await until(lambda: bool(gw._core.desk.feeds()[0].switching))
        with pytest.raises(SwitchRefusedError, match="sim:backup runs"):
            await gw.failover("sim", "me too")
        assert not (await first).ok
        with pytest.raises(ControlError, match="no line sim:third"):
            await gw.failover("sim", "a test", to="sim:third")
        with pytest.raises(ControlError, match="no feed 'ctp'"):
            await gw.failback("ctp", "a test")


async def test_feed_failover_required_leaves_the_preferred_line_and_is_fulfilled_by_it() -> None:
    async with Gateway(settings()) as gw, Heard(gw) as heard:
        await streaming(gw, "sim:primary", "sim:backup")
        gw.require_failover("sim", "latency alarm of the desk")
        await until(lambda: bool(heard.of(Switch)))
        switch = heard.of(Switch)[0]
        assert (switch.trigger, switch.reason, switch.ok) == ("required", "latency alarm of the desk", True)
        assert roles(gw)["sim:backup"] == "active"
        assert not gw._core.desk.feeds()[0].failover_required


async def test_a_silent_line_is_noticed_left_and_logged_in_anew_while_the_hot_one_goes_on() -> None:
    silence = {"faults": [{"kind": "silence", "lines": ["primary"], "at_s": 1.5, "for_s": 600}]}
    rules = settings(**silence)
    rules = rules.model_copy(update={"watch": WatchSettings(line_silent_s=1, floor_s=0.5)})
    async with Gateway(rules) as gw, Heard(gw) as heard:
        await until(lambda: bool(heard.of(LineSilent)))
        assert heard.of(LineSilent)[0].line == "sim:primary"
        await until(lambda: bool(heard.of(Switch)))
        assert heard.of(Switch)[0].trigger == "watchdog"
        assert roles(gw)["sim:backup"] == "active"
        await until(
            lambda: any(e.line == "sim:primary" and e.state == "connecting" for e in heard.of(LineStateChanged)[3:])
        )
        status = next(line for line in gw.lines() if line.line == "sim:primary")
        assert status.restarts == 0, "an orderly restart is no fault of the line's process"


async def test_contracts_of_a_dead_account_move_to_the_other_one_when_they_are_sharded() -> None:
    rules = settings(router="shard")
    rules = rules.model_copy(update={"subscriptions": SubscriptionSettings(per_login_limit=40)})
    async with Gateway(rules) as gw:
        await streaming(gw, "sim:primary", "sim:backup")
        carried = {line.line: line.confirmed for line in gw.lines()}
        assert sum(carried.values()) == 40, carried
        assert min(carried.values()) > 5, carried
        kill(gw, "sim:backup")
        await until(lambda: {line.line: line.confirmed for line in gw.lines()}["sim:primary"] == 40)
        assert not gw.coverage()[0].missing


async def test_both_lines_dead_is_a_gap_with_its_end_and_its_lost_volume(tmp_path: Path) -> None:
    path = tmp_path / "gaps.db"
    async with Gateway(settings(path)) as gw:
        await streaming(gw, "sim:primary", "sim:backup")
        assert gw.coverage()[0].confirmed == 40
        kill(gw, "sim:primary")
        kill(gw, "sim:backup")
        await until(lambda: gw._core.desk.ledger().open_gaps == 40)
        await streaming(gw, "sim:primary", "sim:backup")
        async with asyncio.timeout(30):
            # a gap is closed by its first tick, or ten seconds after it was covered
            while not all(gap.closed for gap in (await gw.gaps()).gaps):
                await asyncio.sleep(0.1)
        day = await gw.gaps()
        assert len(day.gaps) == 40
        assert {gap.ending for gap in day.gaps} == {"covered"}
        assert {tuple(sorted(gap.lines)) for gap in day.gaps} == {("sim:backup", "sim:primary")}
        assert any(gap.lost_volume for gap in day.gaps), "the market went on meanwhile"


async def test_one_line_dead_is_no_gap(tmp_path: Path) -> None:
    path = tmp_path / "gaps.db"
    async with Gateway(settings(path)) as gw:
        await streaming(gw, "sim:primary", "sim:backup")
        kill(gw, "sim:primary")
        await until(lambda: states(gw)["sim:primary"] is not LineState.STREAMING)
        await streaming(gw, "sim:primary", "sim:backup")
    day = read_day(path)
    assert day.known
    assert not day.gaps


async def test_a_stopped_gateway_writes_the_time_of_its_absence_at_its_next_start(tmp_path: Path) -> None:
    path = tmp_path / "gaps.db"
    async with Gateway(settings(path)) as gw:
        await streaming(gw, "sim:primary", "sim:backup")
        await gw.settled()
        stopped_ns = SystemClock().wall_ns()
    async with Gateway(settings(path)) as gw:
        started_ns = SystemClock().wall_ns()
        await streaming(gw, "sim:primary", "sim:backup")
        await until(lambda: gw._core.desk.ledger().open_gaps == 0)
        gaps = (await gw.gaps()).gaps
        assert len(gaps) == 40
        for gap in gaps:
            assert "the gateway was stopped" in gap.reason
            assert gap.start_ns <= started_ns
            assert gap.end_ns is not None
            assert gap.end_ns >= stopped_ns


async def test_the_control_service_switches_tells_coverage_and_shows_gaps(tmp_path: Path) -> None:
    rules = settings(tmp_path / "gaps.db").model_copy(update={"bus": BusSettings()})
    async with Gateway(rules) as gw:
        assert gw.url is not None
        await streaming(gw, "sim:primary", "sim:backup")
        async with connect(gw.url) as client:
            switch = await client.failover("a drill", feed="sim", operator="li")
            assert (switch.ok, switch.reason) == (True, "a drill (li)")
            assert await client.switches() == [switch]
            status = await client.status()
            assert status.feeds[0].active == "sim:backup"
            assert status.feeds[0].session == "day"
            assert status.warnings == []
            coverage = (await client.coverage())[0]
            assert (coverage.wanted, coverage.confirmed, coverage.ratio) == (40, 40, 1.0)
            assert not (await client.gaps()).gaps
            await client.restart_line("sim:primary", "a drill")
            await until(lambda: states(gw)["sim:primary"] is not LineState.STREAMING)
            await streaming(gw, "sim:primary", "sim:backup")


async def test_nothing_is_left_behind_and_no_gap_is_told_when_a_gateway_stops_in_order(tmp_path: Path) -> None:
    path = tmp_path / "gaps.db"
    async with Gateway(settings(path, host="inline")) as gw, Heard(gw) as heard:
        await streaming(gw, "sim:primary", "sim:backup")
        await gw.stop_lines()
        assert not [event for event in heard.events if "gap" in str(event.__struct_config__.tag)]
        assert not heard.of(Switch), "stopped lines are no reason to switch"
    assert not read_day(path).gaps
    assert {task.get_name() for task in asyncio.all_tasks()} <= {asyncio.current_task().get_name()}  # type: ignore[union-attr]  # a test runs in a task


# -- sessions ------------------------------------------------------------------------------------------------------


class Standing:
    """A clock that goes on from a moment of a known session."""

    def __init__(self, text: str) -> None:
        self._offset_ns = round(datetime.fromisoformat(f"{text}+08:00").timestamp()) * 10**9 - time.monotonic_ns()

    def wall_ns(self) -> int:
        return time.monotonic_ns() + self._offset_ns

    def monotonic(self) -> float:
        return time.monotonic()

    def to(self, text: str) -> None:
        """The wall clock is set."""
        self._offset_ns = Standing(text)._offset_ns


def by_the_calendar(**options: Any) -> Settings:
    """Silver alone: 9:00-10:15, 10:30-11:30, 13:30-15:00 and a night until 02:30."""
    rules = settings(host="inline", exchanges=["SHFE"], **options)
    feed = rules.feeds["sim"].model_copy(update={"sessions": "calendar", "instruments": ["SHFE.ag*"]})
    watch = WatchSettings(line_silent_s=0.5, floor_s=0.3, probe_s=0.1)
    return rules.model_copy(update={"feeds": {"sim": feed}, "watch": watch})


async def test_the_phases_of_a_feed_that_follows_the_calendar_are_events_on_the_bus() -> None:
    clock = Standing("2024-06-11T10:14:57")
    async with Gateway(by_the_calendar(), clock=clock) as gw, Heard(gw) as heard:
        await until(lambda: bool(heard.of(PhaseChanged)))
        event = heard.of(PhaseChanged)[-1]
        assert event.was is None, "the first event of a product tells where it stands"
        if event.now == "open":  # a start that took three seconds finds the break already
            await until(lambda: heard.of(PhaseChanged)[-1].now == "break")
            event = heard.of(PhaseChanged)[-1]
            assert event.was == "open"
            assert event.at_ns == round(datetime.fromisoformat("2024-06-11T10:15:00+08:00").timestamp()) * 10**9
        assert (event.feed, event.trading_day, event.products) == ("sim", 20240611, ("ag",))
        assert gw._core.desk.feeds()[0].session == "day"


SILENCE = {"faults": [{"kind": "silence", "at_s": 6.0, "for_s": 600}]}
"""Counted from the start of a line, which has to log in, subscribe and tick before that on a busy machine too."""


async def test_silence_at_lunch_is_no_event_and_the_same_silence_in_session_is() -> None:
    clock = Standing("2024-06-11T11:35:00")
    async with Gateway(by_the_calendar(**SILENCE), clock=clock) as gw, Heard(gw) as heard:
        await streaming(gw, "sim:primary", "sim:backup")
        watchdog = gw._core.oversight.feeds["sim"].watchdog
        ticks = 0

        def quiet() -> bool:
            nonlocal ticks
            before, ticks = ticks, sum(line.ticks for line in gw.lines())
            return before == ticks > 0 and watchdog.counts["looks"] >= 12

        await until(quiet)
        looked = watchdog.counts["looks"]
        await until(lambda: watchdog.counts["looks"] >= looked + 8)  # four times what is allowed in session
        assert heard.of(LineSilent) == []
        assert heard.of(Switch) == []
        assert (await gw.gaps()).gaps == ()
        clock.to("2024-06-11T13:31:00")
        await until(lambda: bool(heard.of(LineSilent)))


async def test_a_gateway_whose_calendar_has_ended_does_not_start_and_says_how_to_extend_it() -> None:
    gateway = Gateway(by_the_calendar(), clock=Standing("2031-01-06T09:30:00"))
    with pytest.raises(CalendarError, match="sim") as refused:
        await gateway.__aenter__()
    assert refused.value.exit_code == 11
    assert gateway.url is None
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_feed_that_does_not_follow_the_calendar_needs_none() -> None:
    async with Gateway(settings(host="inline"), clock=Standing("2031-01-06T03:30:00")) as gw:
        await streaming(gw, "sim:primary", "sim:backup")


# -- a bus that is away --------------------------------------------------------------------------------------------


async def test_what_happens_while_the_bus_is_away_is_told_when_it_is_back() -> None:
    async with NatsServer() as server:
        rules = settings(host="inline").model_copy(update={"bus": BusSettings(urls=[server.url])})
        async with Gateway(rules) as gw:
            await streaming(gw, "sim:primary", "sim:backup")
            await server.stop()
            await until(lambda: not gw.bus.connected)
            switch = await gw.failover("sim", "while nobody hears")
            assert switch.ok, switch
            announcer = gw._core.oversight.announcer
            await until(lambda: announcer.waiting > 0)
            await server.start()
            await until(lambda: announcer.waiting == 0)
            assert announcer.dropped == 0
            async with connect(server.url) as client:
                assert (await client.switches())[-1] == switch
            await until(lambda: gw.bus.connected)
            async with Heard(gw) as heard:
                assert (await gw.failback("sim", "and back")).ok
                await until(lambda: [one.target for one in heard.of(Switch)][-1:] == ["sim:primary"])


@pytest.mark.parametrize("host", ["inline", "child"])
async def test_a_failback_right_after_a_failover_waits_for_the_line_that_is_still_on_its_way_out(host: str) -> None:
    async with Gateway(settings(router="primary_backup_cold", host=host)) as gw:
        await streaming(gw, "sim:primary")
        for _ in range(3):
            there = await gw.failover("sim", "there")
            assert there.ok, there.error
            back = await gw.failback("sim", "and back at once")
            assert back.ok, back.error
        assert roles(gw) == {"sim:primary": "active", "sim:backup": "cold"}
