"""Runs one measurement: fresh processes, ready, warm-up, go, last decoded tick, CPU before and after."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from bench.cases import CASES, Step
from bench.child import READY
from bench.control import CONSUMED, FEEDER_NS, LINE_PID, OFFERED, PHASE, RUN, STOP, WARM, Control
from bench.load import Load
from bench.processes import BenchError, Child, NatsServer, cpu_seconds
from bench.tally import Outcome

START_S = 30.0
"""For a process to say READY: a native library is imported, a gateway is started."""
STALL_S = 3.0
"""Without a further tick the measurement is over, and what is missing is lost."""


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
    """CPU µs a tick by process: ``line``, ``core``, ``server``, ``consumer``; ``feeder`` is what pacing cost."""


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
    pids = {"core": producer.pid, "server": server.pid, "consumer": consumer.pid}
    if words[LINE_PID]:
        pids["line"] = words[LINE_PID]
    before = cpu_of(pids, control)
    words[PHASE] = RUN
    _await(control, load.goal, producer, consumer)
    after = cpu_of(pids, control)
    words[PHASE] = STOP
    outcome = _outcome(consumer)
    return Record(
        case=step.case, offered=step.label, rate=outcome.rate, p50_ms=outcome.p50_ms, p99_ms=outcome.p99_ms,
        p999_ms=outcome.p999_ms, max_ms=outcome.max_ms, lost=outcome.lost, duplicates=outcome.duplicates,
        ticks=load.total,
        cpu_us={name: round((after[name] - before.get(name, 0.0)) / load.total * 1e6, 3) for name in sorted(after)},
    )  # fmt: skip


def cpu_of(pids: Mapping[str, int], control: Control) -> dict[str, float]:
    """CPU seconds by process so far; the feeder's pacing is taken out of the process that it lives in."""
    seconds = {name: cpu_seconds(pid) for name, pid in pids.items()}
    pacing = control.words[FEEDER_NS] / 1e9
    if pacing:
        home = "line" if "line" in seconds else "core"
        seconds[home] -= pacing
        seconds["feeder"] = pacing
    return seconds


def _outcome(consumer: Child) -> Outcome:
    for _ in range(100):
        text = consumer.line(10.0)
        if text.startswith("{"):
            return msgspec.json.decode(text, type=Outcome)
    raise BenchError("the consumer printed no outcome")


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
