"""A line in its own process: whatever the process does, the core lives, notices and goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import pytest

from gateway.clock import SystemClock
from gateway.errors import LineError
from gateway.lines.hosts import ChildHost, ChildSpec
from gateway.lines.line import Line
from gateway.lines.messages import Start, Tuning
from gateway.lines.restarts import RestartPolicy
from gateway.lines.vigil import LineTimers
from gateway.model import Account, Instrument, LineId, LineState

LINE = LineId("chaos", "primary")


class Bench:
    """One line, what it delivered, and its states as they came."""

    def __init__(self, options: dict[str, Any] | None = None, **timers: float) -> None:
        self.arrivals: list[Any] = []
        self.states: list[tuple[LineState, str]] = []
        self.answers: list[tuple[str, Any]] = []
        self._news = asyncio.Event()
        start = Start(
            line=LINE,
            account=Account(name="primary", user_id="160219", secrets={"password": "hunter2"}),
            factory="tests.chaos_feed:build",
            options=options or {},
            tuning=Tuning(),
            path=[os.getcwd(), *sys.path],
        )
        spec = ChildSpec(start, lambda: dict(os.environ))
        self.line = Line(
            LINE,
            start.account,
            host=lambda events: ChildHost(spec, events),
            slot_of=lambda exchange, code: f"{exchange}.{code}",
            deliver=lambda _line, arrivals: self._note(self.arrivals.extend, arrivals),
            changed=lambda line: self._note(self.states.append, (line.state, line.reason)),
            timers=LineTimers(**timers),
            restarts=RestartPolicy(initial_s=0.05, max_s=0.1, reset_s=60, per_minute=100, dice=random.Random(1)),
            clock=SystemClock(),
        )
        self.line.subscriptions = self
        self._task: asyncio.Task[None] | None = None

    def _note(self, add: Callable[[Any], None], what: Any) -> None:
        add(what)
        self._news.set()

    def line_up(self) -> None:
        self._note(self.answers.append, ("up", None))

    def line_down(self, reason: str) -> None:
        self._note(self.answers.append, ("down", reason))

    def on_confirmed(self, instruments: Any) -> None:
        self._note(self.answers.append, ("confirmed", instruments))

    def on_refused(self, instrument: Any, reason: str) -> None:
        self._note(self.answers.append, ("refused", reason))

    def on_unsubscribed(self, instruments: Any) -> None:
        self._note(self.answers.append, ("unsubscribed", instruments))

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not true():
                self._news.clear()
                await self._news.wait()

    async def up(self) -> None:
        await self.until(lambda: self.line.state.is_up)

    async def ask(self, code: str, exchange: str = "CHAOS") -> None:
        await self.line.subscribe([Instrument(exchange, code)])

    def lost(self) -> list[str]:
        return [reason for state, reason in self.states if state is LineState.LOST]

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.line.run())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.line.close()
        assert self._task is not None
        await self._task


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with Bench() as bench:
        await bench.up()
        yield bench


async def test_ticks_of_a_vendor_thread_arrive_in_order_and_are_all_counted(bench: Bench) -> None:
    await bench.ask("5000")
    await bench.until(lambda: len(bench.arrivals) == 5000)
    assert [arrival[3] for arrival in bench.arrivals] == list(range(1, 5001))
    assert {arrival[0] for arrival in bench.arrivals} == {"CHAOS.5000"}
    assert bench.line.state is LineState.STREAMING
    counts = bench.line.live_counts()
    assert (counts.received, counts.delivered, sum(counts.dropped.values())) == (5000, 5000, 0)


@pytest.mark.parametrize(
    ("what", "words"),
    [("segv", "SIGSEGV"), ("abort", "SIGABRT"), ("kill", "SIGKILL"), ("exit", "exited with 3")],
)
async def test_a_death_of_the_process_is_named_and_the_line_comes_back(bench: Bench, what: str, words: str) -> None:
    pid = bench.line.pid
    with contextlib.suppress(LineError):  # whether the call returned before the end is a race
        await bench.ask(what)
    await bench.until(lambda: any(words in reason for reason in bench.lost()))
    await bench.up()
    assert bench.line.pid != pid
    assert bench.line.counts.restarts == 1
    await bench.ask("10")
    await bench.until(lambda: len(bench.arrivals) == 10)


async def test_ticks_that_died_with_the_process_are_counted_as_dropped(bench: Bench) -> None:
    await bench.ask("20000")
    await bench.until(lambda: len(bench.arrivals) > 0)
    assert bench.line.pid is not None
    os.kill(bench.line.pid, signal.SIGKILL)
    await bench.until(lambda: bool(bench.lost()))
    counts = bench.line.counts
    assert counts.received == counts.delivered + sum(counts.dropped.values())
    assert counts.delivered == len(bench.arrivals)
    assert set(+counts.dropped) <= {"line_died"}


async def test_a_stopped_process_is_noticed_as_hung_and_replaced() -> None:
    async with Bench(hung_after_s=0.5, kill_after_s=1.0) as bench:
        await bench.up()
        pid = bench.line.pid
        with pytest.raises(LineError):
            await bench.ask("stop")
        await bench.until(lambda: any("hung" in reason for reason in bench.lost()))
        await bench.up()
        assert bench.line.pid != pid


async def test_a_process_that_answers_again_before_the_limit_keeps_running() -> None:
    async with Bench(hung_after_s=0.5, kill_after_s=60.0) as bench:
        await bench.up()
        pid = bench.line.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        await bench.until(lambda: bench.line.state is LineState.LOST)
        os.kill(pid, signal.SIGCONT)
        await bench.up()
        assert bench.line.pid == pid
        assert bench.line.reason == "answers again"


async def test_a_source_that_blocks_its_loop_is_replaced() -> None:
    async with Bench(hung_after_s=0.5, kill_after_s=1.0) as bench:
        await bench.up()
        with pytest.raises(LineError):
            await bench.ask("hang")
        await bench.until(lambda: any("hung" in reason for reason in bench.lost()))
        await bench.up()


async def test_a_storm_of_callbacks_ends_the_incarnation_with_its_rate(bench: Bench) -> None:
    await bench.ask("storm")
    await bench.until(lambda: any("callback storm" in reason for reason in bench.lost()))
    await bench.up()
    # a storm of thousands of callbacks reached the loop as few messages
    assert len(bench.states) < 500


async def test_a_front_that_never_answers_is_given_up_by_our_own_timer() -> None:
    async with Bench({"silent": True}, connect_s=0.3) as bench:
        await bench.until(lambda: "no connection in time" in bench.lost())
        await bench.until(lambda: bench.line.counts.restarts >= 2)


async def test_a_login_that_is_never_answered_is_given_up_by_our_own_timer() -> None:
    async with Bench({"login": False}, login_s=0.3) as bench:
        await bench.until(lambda: "no login answer in time" in bench.lost())


async def test_a_source_that_cannot_start_says_why() -> None:
    async with Bench({"start_error": "flow directory is not writable"}) as bench:
        await bench.until(lambda: "OSError: flow directory is not writable" in bench.lost())


async def test_output_of_the_vendor_stays_out_of_our_stdout(
    bench: Bench, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway.lines.hosts")
    await bench.ask("print")
    await bench.until(lambda: ("confirmed", [Instrument("CHAOS", "print")]) in bench.answers)
    bench.line.close()
    await bench.until(lambda: bench.line.state is LineState.STOPPED)
    assert "vendor words on stdout" in caplog.text
    assert "vendor words" not in capfd.readouterr().out
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage().startswith(f"{bench.line.id}: chaos: 前置机 refused:\nxxx")
    assert len(record.getMessage()) < 10_000
    assert record.exc_text == "OSError: broken"
    assert vars(record)["line"] == str(bench.line.id)


async def test_a_raising_call_is_reported_to_whoever_asked(bench: Bench) -> None:
    with pytest.raises(LineError, match="the vendor call returned -1"):
        await bench.ask("raise")


async def test_unreadable_bytes_on_the_socket_end_the_incarnation(bench: Bench) -> None:
    with contextlib.suppress(LineError):
        await bench.ask("garbage")
    await bench.until(lambda: any("unreadable output" in reason for reason in bench.lost()))
    await bench.up()


async def test_refusals_carry_the_vendors_words(bench: Bench) -> None:
    await bench.ask("x", exchange="REFUSE")
    await bench.until(lambda: ("refused", "合约不存在") in bench.answers)


async def test_no_secret_is_in_the_arguments_or_environment_of_the_process(bench: Bench) -> None:
    pid = bench.line.pid
    for name in ("cmdline", "environ"):
        with open(f"/proc/{pid}/{name}", "rb") as file:
            assert b"hunter2" not in file.read()
