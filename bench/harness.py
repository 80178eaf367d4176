"""Runs one measurement: fresh processes, ready, warm-up, go, last decoded tick, CPU before and after."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bench.cases import CASES, Step
from bench.child import READY
from bench.control import (
    CONSUMED,
    FEEDER_NS,
    LINE_PID,
    OFFERED,
    PEER,
    PHASE,
    RUN,
    SETTLED_NS,
    STOP,
    WARM,
    Control,
)
from bench.load import Load
from bench.processes import BenchError, Child, NatsServer, cpu_seconds
from bench.tally import Outcome
from gateway.flow.balance import Balance

START_S = 30.0
"""For a process to say READY: a native library is imported, a gateway is started."""
STALL_S = 3.0
"""Without a further tick the measurement is over, and what is missing is lost."""


ALONE_S = 300.0
"""For a process that measures itself."""


class Record(msgspec.Struct, kw_only=True):
    """One measurement, as it goes into the report."""

    case: str
    offered: str
    rate: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    lost: int
    duplicates: int
    ticks: int
    cpu_us: dict[str, float]
    """CPU µs a tick by process: ``line``, ``core``, ``server``, ``consumer``; ``feeder`` is what pacing cost.

    Of a pair: µs a published tick, ``line`` for both lines together. Of ``arbitrate``: µs a tick of either line.
    """
    wrong: int = 0
    """Of a pair: what the consumer's check and the gateway's books found, beside losses and repeats."""
    findings: list[str] = msgspec.field(default_factory=list)
    """The same in words."""
    books: dict[str, int] = msgspec.field(default_factory=dict)
    """Of a pair: ``in``, ``out``, and what was dropped by reason."""
    by_line: dict[str, int] = msgspec.field(default_factory=dict)
    """Of a pair: published ticks by the line that brought them first."""


def free_ports() -> int:
    """A free port whose successor is free too."""
    for _ in range(50):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise BenchError("no two free ports beside each other")


def measure(step: Step, *, server: NatsServer, source: str, module: str, env: Mapping[str, str]) -> Record:
    """One step, in processes of its own. Raises BenchError when it cannot be carried out."""
    case = CASES[step.case]
    with tempfile.TemporaryDirectory(prefix="feedgate-bench-") as directory:
        work = Path(directory)
        control = Control.create(work / "control")
        load = step.load(
            control=str(work / "control"), source=source, module=module, nats=server.url, port=free_ports()
        )
        argument = msgspec.json.encode(load).decode()
        children: list[Child] = []
        try:
            if not case.consume:
                alone = Child(case.name, [*case.produce, argument], work, {})
                children.append(alone)
                return record_of(step, load, _outcome(alone, ALONE_S))
            consumer = Child("consumer", [*case.consume, argument], work, {})
            children.append(consumer)
            consumer.expect(READY, START_S)
            producer = Child("producer", [*case.produce, argument], work, env if case.native else {})
            children.append(producer)
            producer.expect(READY, START_S)
            return _run(step, load, control, server, producer, consumer)
        finally:
            control.words[PHASE] = STOP
            for child in children:
                child.close()
            control.close()


def _run(step: Step, load: Load, control: Control, server: NatsServer, producer: Child, consumer: Child) -> Record:
    words = control.words
    words[PHASE] = WARM
    _await(control, load.warm, producer, consumer)
    if words[CONSUMED] < load.warm:
        raise BenchError(
            f"{step.case}: only {words[CONSUMED]} of {load.warm} warm-up ticks arrived "
            f"({words[OFFERED]} offered){producer.last_words()}{consumer.last_words()}"
        )
    pids = {"core": [producer.pid], "server": [server.pid], "consumer": [consumer.pid]}
    if lines := [pid for place in range(load.lines) if (pid := words[LINE_PID + PEER * place])]:
        pids["line"] = lines
    before = cpu_of(pids, control)
    words[PHASE] = RUN
    _await(control, load.goal, producer, consumer)
    if load.lines > 1:
        _await_copies(control)
    after = cpu_of(pids, control)
    words[PHASE] = STOP
    record = record_of(step, load, _outcome(consumer))
    record.cpu_us = {name: round((after[name] - before.get(name, 0.0)) / load.total * 1e6, 3) for name in sorted(after)}
    if load.lines > 1:
        audit(record, msgspec.json.decode(_object(producer), type=Balance), load)
    return record


def record_of(step: Step, load: Load, outcome: Outcome) -> Record:
    """What a consumer, or a process that measures itself, saw."""
    return Record(
        case=step.case, offered=step.label, rate=outcome.rate, p50_ms=outcome.p50_ms, p99_ms=outcome.p99_ms,
        p999_ms=outcome.p999_ms, max_ms=outcome.max_ms, lost=outcome.lost, duplicates=outcome.duplicates,
        ticks=load.total, cpu_us=outcome.cpu_us, wrong=outcome.wrong,
        findings=[outcome.first_wrong] if outcome.first_wrong else [], by_line=outcome.by_line,
    )  # fmt: skip


COPIES = ("copy", "late")
"""What the arbiter calls the second arrival of a tick; ``late`` when the first one has left its window of snapshots."""


def audit(record: Record, balance: Balance, load: Load) -> None:
    """Hold the gateway's books of a pair against what was offered: each tick came twice, one went out, one dropped."""
    dropped = {f"{stop}.{why}": count for stop, each in balance.dropped.items() for why, count in each.items()}
    copies = sum(dropped.get(f"arbitrate.{why}", 0) for why in COPIES)
    record.books = {"in": balance.received, "out": balance.published, **dropped}
    for what, is_count, must_be in (
        ("records came in", balance.received, load.lines * load.goal),
        ("ticks went out", balance.published, load.goal),
        ("copies dropped", copies, (load.lines - 1) * load.goal),
        ("ticks dropped otherwise", balance.total_dropped - copies, 0),
        ("ticks are unaccounted for", balance.in_flight, 0),
    ):
        if is_count != must_be:
            record.wrong += abs(is_count - must_be)
            record.findings.append(f"{is_count:,} {what} and not {must_be:,}")


def cpu_of(pids: Mapping[str, Sequence[int]], control: Control) -> dict[str, float]:
    """CPU seconds by name so far; the feeders' pacing is taken out of the processes that they live in."""
    seconds = {name: sum(map(cpu_seconds, several)) for name, several in pids.items()}
    pacing = (control.words[FEEDER_NS] + control.words[FEEDER_NS + PEER]) / 1e9
    if pacing:
        home = "line" if "line" in seconds else "core"
        seconds[home] -= pacing
        seconds["feeder"] = pacing
    return seconds


def _outcome(consumer: Child, timeout: float = 10.0) -> Outcome:
    return msgspec.json.decode(_object(consumer, timeout), type=Outcome)


def _object(child: Child, timeout: float = 10.0) -> str:
    """The next line that is a JSON object; a vendor library may print others."""
    for _ in range(100):
        text = child.line(timeout)
        if text.startswith("{"):
            return text
    raise BenchError(f"the {child.name} printed no outcome")


def _await_copies(control: Control) -> None:
    """Until the core has dropped the last copy; without it the books will not balance, and say so."""
    deadline = time.monotonic() + STALL_S
    while not control.words[SETTLED_NS] and time.monotonic() < deadline:
        time.sleep(0.005)


def _await(control: Control, goal: int, *children: Child) -> None:
    """Until the consumer has ``goal`` ticks, or none came for a while."""
    words = control.words
    seen, since = words[CONSUMED], time.monotonic()
    while words[CONSUMED] < goal:
        for child in children:
            if child.ended:
                raise BenchError(f"{child.name} died under load{child.last_words()}")
        if words[CONSUMED] != seen:
            seen, since = words[CONSUMED], time.monotonic()
        elif time.monotonic() - since > STALL_S:
            return
        time.sleep(0.01)
