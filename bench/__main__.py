"""``python -m bench``: all rounds, the table, ``bench/out/latest.json``. Exit code 1 when a measurement failed."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import native
from bench.cases import CASES, plan
from bench.harness import Record, measure
from bench.load import Load
from bench.machine import Machine, look
from bench.processes import BenchError, NatsServer, end_in_order
from bench.report import SATURATION, Round, summarize, write
from bench.terminal import show
from bench.vendor import environment

OUT = Path(__file__).parent / "out" / "latest.json"


def arguments() -> argparse.Namespace:
    """What may be asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=None, help="rounds, 3 by default; ratios are taken inside each")
    parser.add_argument("--quick", action="store_true", help="one short round at few rates, to see that all works")
    parser.add_argument("--source", choices=("native", "sim"), help="native (default with a C++ compiler) or sim")
    parser.add_argument("--module", default="openctp_ctp", help="the SWIG package that the native source drives")
    parser.add_argument(
        "--only", choices=tuple(CASES), action="append", help="one case, without ratios; may be given several times"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="where the report goes")
    chosen = parser.parse_args()
    if chosen.rounds is not None and chosen.rounds < 1:
        parser.error("--rounds must be at least 1")
    return chosen


def choose_source(asked: str | None, console: Console) -> str:
    """The source asked for; without a word, native where it can be built. Raises NoCompilerError when asked for it."""
    if asked == "sim":
        return "sim"
    try:
        native.build()
    except native.NoCompilerError as error:
        if asked == "native":
            raise
        console.print(f"source: sim, because {error}", highlight=False, markup=False)
        return "sim"
    return "native"


def run_round(number: int, options: argparse.Namespace, source: str, env: Mapping[str, str], console: Console) -> Round:
    """All steps against one nats-server. A step that fails is told and left out."""
    done = Round(records=[], left_out={})
    saturation: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="feedgate-bench-") as work, NatsServer(Path(work)) as server:
        for step in plan(options.only, quick=options.quick):
            name = f"{step.case}/{step.label}"
            why = CASES[step.case].missing()
            limit = saturation.get(step.case)
            if not why and step.offered and limit is not None and step.offered > limit:
                why = f"more than the {limit:,.0f} ticks/s it can do"
            if why:
                done.left_out[name] = why
                continue
            try:
                record: Record = measure(step, server=server, source=source, module=options.module, env=env)
            except BenchError as error:
                done.left_out[name] = f"failed: {error}"
                console.print(f"{name}: {error}", style="red", highlight=False, markup=False)
                continue
            done.records.append(record)
            if step.label == SATURATION:
                saturation[step.case] = record.rate
            console.print(
                f"{number}  {name:28}{record.rate:>11,.0f}/s  p50 {record.p50_ms:7.2f}  "
                f"p99 {record.p99_ms:7.2f} ms  lost {record.lost}",
                highlight=False,
            )
            for finding in record.findings:
                console.print(f"{name}: {finding}", style="red", highlight=False, markup=False)
    return done


def look_at_machine(console: Console) -> Machine | None:
    """What it does to a tick by itself; None where that cannot be measured, or failed, which is told."""
    try:
        with tempfile.TemporaryDirectory(prefix="feedgate-bench-") as work:
            found = look(Path(work))
    except BenchError as error:
        console.print(f"machine: {error}", style="red", highlight=False, markup=False)
        return None
    if found is not None:
        console.print(f"machine: {found}", highlight=False, markup=False)
    return found


def main() -> int:
    """Run, show, write."""
    options = arguments()
    end_in_order()
    console = Console()
    try:
        source = choose_source(options.source, console)
        env = environment(Load(control="", source=source))
    except Exception as error:  # noqa: BLE001 - shown with its next step instead of a traceback
        console.print(str(error), style="red", highlight=False, markup=False)
        return 2
    machine: dict[str, Any] = {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "load_average_before": os.getloadavg()[0],
    }
    count = options.rounds or (1 if options.quick else 3)
    looks, rounds = [look_at_machine(console)], []
    for number in range(1, count + 1):
        rounds.append(run_round(number, options, source, env, console))
        looks.append(look_at_machine(console))
    machine["looks"] = [found for found in looks if found is not None]
    label = f"native ({options.module})" if source == "native" else "sim"
    report = summarize(rounds, source=label, quick=options.quick, machine=machine)
    show(report, console)
    write(report, options.out)
    console.print(f"written to {options.out}", highlight=False)
    return 1 if any(why.startswith("failed") for why in report.left_out.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
