"""``python -m bench.soak --minutes 10 --rate 20000``: nothing lost, the books balance, memory stays flat.

Writes ``bench/out/soak.json``; exit code 1 when one of these does not hold.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from bench.__main__ import choose_source
from bench.child import READY
from bench.control import CONSUMED, LINE_PID, PHASE, RUN, STOP, WARM, Control
from bench.load import Load
from bench.processes import BenchError, Child, NatsServer, end_in_order, resident_bytes
from bench.tally import Outcome
from bench.vendor import environment

OUT = Path(__file__).parent / "out" / "soak.json"
MIB = 1 << 20
JUDGED = ("core", "line", "server")
START_S = 30.0
STALL_S = 5.0
SETTLE_S = 60.0
"""Memory of the first minute (or quarter, when that is shorter) is warm-up."""
KEEP_EVERY = 16
"""One latency of so many is kept, so that the consumer stays small."""


class Sample(msgspec.Struct, frozen=True):
    """Resident memory at one moment, in bytes by process."""

    seconds: float
    rss: dict[str, int]


class Result(msgspec.Struct, kw_only=True):
    """``soak.json``."""

    source: str
    rate: int
    minutes: float
    outcome: Outcome
    balance: dict[str, Any]
    """The gateway's own books at the end: received, published, dropped by stop and reason."""
    growth_mib: dict[str, float]
    """By process: slope of resident memory after warm-up, times the time measured."""
    flat: bool
    passed: bool
    findings: list[str]
    samples: list[Sample]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Least squares; 0 for fewer than two moments."""
    if len(points) < 2:
        return 0.0
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread if spread else 0.0


def growth_mib(samples: Sequence[Sample], settle_s: float) -> dict[str, float]:
    """By process, how much it grew after warm-up according to its slope."""
    settled = [sample for sample in samples if sample.seconds >= settle_s]
    if not settled:
        return {}
    span = settled[-1].seconds - settled[0].seconds
    return {
        name: round(slope([(each.seconds, each.rss[name]) for each in settled]) * span / MIB, 3)
        for name in settled[0].rss
    }


def judge(outcome: Outcome, balance: dict[str, Any], growth: dict[str, float], allowed_mib: float) -> list[str]:
    """What does not hold; empty when all does."""
    findings = []
    if outcome.lost:
        findings.append(f"{outcome.lost:,} ticks lost")
    if outcome.duplicates:
        findings.append(f"{outcome.duplicates:,} ticks came twice or out of order")
    dropped = sum(sum(reasons.values()) for reasons in balance["dropped"].values())
    if dropped or balance["received"] != balance["published"] + dropped:
        findings.append(f"the gateway's books: {balance}")
    findings += [
        f"{name} grew by {growth[name]:.1f} MiB after warm-up, more than {allowed_mib:g}"
        for name in JUDGED
        if growth.get(name, 0.0) > allowed_mib
    ]
    return findings


def soak(options: argparse.Namespace, source: str, console: Console) -> Result:
    """One long paced run. Raises BenchError when it cannot be carried out."""
    seconds = options.minutes * 60
    with tempfile.TemporaryDirectory(prefix="feedgate-soak-") as directory:
        work = Path(directory)
        with NatsServer(work) as server:
            control = Control.create(work / "control")
            load = Load(
                control=str(work / "control"), source=source, module=options.module, nats=server.url,
                instruments=options.instruments, warm=max(1024, options.instruments),
                total=int(options.rate * seconds), rate=options.rate,
            )  # fmt: skip
            argument = msgspec.json.encode(load).decode()
            children: list[Child] = []
            try:
                consumer = Child("consumer", ["bench.consume", "per_tick", str(KEEP_EVERY), argument], work, {})
                children.append(consumer)
                consumer.expect(READY, START_S)
                producer = Child("producer", ["bench.pipeline", argument], work, environment(load))
                children.append(producer)
                producer.expect(READY, START_S)
                words = control.words
                words[PHASE] = WARM
                watch(control, load.warm, {}, 1e9, children, console)
                pids = {"core": producer.pid, "line": words[LINE_PID], "server": server.pid, "consumer": consumer.pid}
                words[PHASE] = RUN
                samples = watch(control, load.goal, pids, options.every, children, console)
                time.sleep(0.5)  # the last confirmation of the bus, for the books
                words[PHASE] = STOP
                outcome = msgspec.json.decode(consumer.line(START_S), type=Outcome)
                balance = msgspec.json.decode(producer.line(START_S))
            finally:
                control.words[PHASE] = STOP
                for child in children:
                    child.close(15.0)
                control.close()
    growth = growth_mib(samples, min(SETTLE_S, seconds / 4))
    findings = judge(outcome, balance, growth, options.allow_mib)
    return Result(
        source=source, rate=options.rate, minutes=options.minutes, outcome=outcome, balance=balance,
        growth_mib=growth, flat=not any("grew" in finding for finding in findings), passed=not findings,
        findings=findings, samples=samples,
    )  # fmt: skip


def watch(
    control: Control,
    goal: int,
    pids: dict[str, int],
    every: float,
    children: Sequence[Child],
    console: Console,
) -> list[Sample]:
    """Sample memory until the consumer has ``goal`` ticks or none came for a while."""
    samples: list[Sample] = []
    start = since = time.monotonic()
    due, seen = start, -1
    while (got := control.words[CONSUMED]) < goal:
        now = time.monotonic()
        for child in children:
            if child.ended:
                raise BenchError(f"{child.name} died after {now - start:.0f} s{child.last_words()}")
        if got != seen:
            seen, since = got, now
        elif now - since > STALL_S:
            break
        if pids and now >= due:
            due += every
            rss = {name: resident_bytes(pid) for name, pid in pids.items()}
            samples.append(Sample(round(now - start, 1), rss))
            text = "  ".join(f"{name} {size / MIB:.1f}" for name, size in rss.items())
            console.print(f"{now - start:6.0f} s  {got:>12,} ticks  MiB: {text}", highlight=False)
        time.sleep(0.05)
    return samples


def main(argv: Sequence[str] | None = None) -> int:
    """Run, judge, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=20_000, help="ticks a second")
    parser.add_argument("--instruments", type=int, default=1000)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two looks at the memory")
    parser.add_argument("--allow-mib", type=float, default=4.0, help="growth of one process that is still flat")
    parser.add_argument("--source", choices=("native", "sim"))
    parser.add_argument("--module", default="openctp_ctp")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(argv)
    end_in_order()
    console = Console()
    try:
        result = soak(options, choose_source(options.source, console), console)
    except Exception as error:  # noqa: BLE001 - shown with its next step instead of a traceback
        console.print(str(error), style="red", highlight=False, markup=False)
        return 2
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    seen = result.outcome
    console.print(
        f"{'passed' if result.passed else 'FAILED'}: {seen.received:,} ticks, {seen.lost} lost, p50 {seen.p50_ms} ms, "
        f"p99 {seen.p99_ms} ms, growth in MiB {result.growth_mib}; written to {options.out}",
        highlight=False,
        markup=False,
    )
    for finding in result.findings:
        console.print(f"  - {finding}", style="red", highlight=False, markup=False)
    return 0 if result.passed else 1


if __name__ == "__main__":
    sys.exit(main())
