"""``python -m tests.faults``: all rows, the table, ``bench/out/faults.json``. Exit code 1: a row is not as expected."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from gateway.thost import locales
from tests.faults.catalogue import faults
from tests.faults.core_rig import PlainSimSource
from tests.faults.course import measure
from tests.faults.fault import Fault
from tests.faults.sim_rig import SimSource
from tests.faults.source import Source
from tests.faults.table import Row, judge, show, write_document, write_json
from tests.faults.tts_rig import TtsSource

WIDTH = 130
ROOT = Path(__file__).parents[2]
OUT = ROOT / "bench" / "out" / "faults.json"
DOCUMENT = ROOT / "docs" / "faults.md"


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What may be asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--only", action="append", metavar="TEXT", help="faults whose name contains it; may be repeated"
    )
    parser.add_argument("--source", choices=("sim", "tts"), help="one source; both by default")
    parser.add_argument("--short", action="store_true", help="each fault once, briefly; lines are not waited for")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/faults.md")
    parser.add_argument(
        "--json", type=Path, default=OUT, metavar="PATH", help="where the rows go (bench/out/faults.json)"
    )
    chosen = parser.parse_args(words)
    if chosen.write_docs and (chosen.only or chosen.source or chosen.short):
        parser.error("--write-docs wants the whole table: leave out --only, --source and --short")
    return chosen


def sources_of(fault: Fault, *, only: str | None, short: bool) -> tuple[str, ...]:
    """Which rows a fault has."""
    if only:
        return (only,) if only in fault.sources else ()
    return (fault.short,) if short else fault.sources


def source_of(fault: Fault, name: str, locale_dir: Path) -> Source:
    """A new one for each row."""
    if name == "tts":
        return TtsSource(locale_dir)
    return PlainSimSource() if fault.core else SimSource()


def tts_missing() -> str:
    """Why native lines cannot run here; empty when they can."""
    if importlib.util.find_spec("openctp_tts") is None:
        return "openctp_tts is not installed: pip install openctp-tts"
    return "; ".join(locales.findings({}))


async def run(options: argparse.Namespace, locale_dir: Path, console: Console) -> list[Row]:
    """All rows, one after the other."""
    missing = tts_missing()
    if not missing:
        await asyncio.to_thread(locales.build, locale_dir)
    rows = []
    for fault in faults(short=options.short):
        if options.only and not any(part in fault.name for part in options.only):
            continue
        for name in sources_of(fault, only=options.source, short=options.short):
            if name == "tts" and missing:
                row = Row(fault=fault.name, source=name, why=[missing])
                judge(row, fault.expected)
            else:
                row = await measure(fault, partial(source_of, fault, name, locale_dir), short=options.short)
            rows.append(row)
            word = "as expected" if row.ok else "; ".join(row.why)
            console.print(f"{row.fault} ({row.source}): {word}", highlight=False, markup=False, soft_wrap=True)
    return rows


def main() -> int:
    """Run, show, write."""
    options = arguments()
    console = Console()
    console.width = max(console.width, WIDTH)
    with tempfile.TemporaryDirectory(prefix="feedgate-locale-") as locale_dir:
        rows = asyncio.run(run(options, Path(locale_dir), console))
    if not rows:
        console.print("no such fault; without --only there are: " + ", ".join(one.name for one in faults(short=False)))
        return 2
    show(rows, console)
    write_json(rows, options.json)
    console.print(f"written to {options.json}", highlight=False)
    if options.write_docs:
        write_document(rows, DOCUMENT)
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
