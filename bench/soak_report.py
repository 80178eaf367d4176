"""``python -m bench.soak_report``: the page and the raw figures of a soak that passed, into ``docs/perf/``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.soak import MIB, OUT, SETTLE_S, Result, Sample

PAGES = Path(__file__).parents[1] / "docs" / "perf"
PROCESSES = ("core", "line", "server", "consumer")
STEP_S = 300.0
"""Between two rows of the table."""


def page(result: Result) -> str:
    """Markdown. What it says of the run is computed from the samples and the outcome alone."""
    seen, books = result.outcome, result.balance
    first = int(min(SETTLE_S, result.minutes * 60 / 4))
    lines = [
        f"# A soak of {result.minutes:g} minutes",
        "",
        (
            f"`python -m bench.soak --minutes {result.minutes:g} --rate {result.rate}`, source `{result.source}`. "
            "All samples: [soak.json](soak.json). What it measures, and when it passes: "
            "[The soak](README.md#the-soak). Written by `python -m bench.soak_report`."
        ),
        "",
        "| What | Figure |",
        "|---|---|",
        f"| Verdict | **{'passed' if result.passed else 'failed: ' + '; '.join(result.findings)}** |",
        f"| Ticks | {seen.received:,} in {result.minutes:g} min, {seen.rate:,.0f} a second |",
        f"| Lost, twice | {seen.lost}, {seen.duplicates} |",
        f"| Books | received {books['received']:,}, published {books['published']:,}, dropped {_dropped(result):,} |",
        (
            f"| Latency | p50 {seen.p50_ms:.2f} ms, p99 {seen.p99_ms:.2f} ms, p99.9 {seen.p999_ms:.1f} ms, "
            f"longest {seen.max_ms:,.0f} ms |"
        ),
        *(f"| Growth of the {name} | {growth:.2f} MiB |" for name, growth in result.growth_mib.items()),
        "",
        (
            f"Growth is the slope after the first {first} s, times the time. The consumer keeps one latency of sixteen "
            "to the end, and so grows; it is not judged. Resident memory in MiB:"
        ),
        "",
        f"| Minute | {' | '.join(PROCESSES)} |",
        f"|{'---:|' * (len(PROCESSES) + 1)}",
        *(_row(sample) for sample in _spaced(result.samples)),
        "",
    ]
    return "\n".join(lines)


def _dropped(result: Result) -> int:
    return sum(sum(reasons.values()) for reasons in result.balance["dropped"].values())


def _spaced(samples: Sequence[Sample]) -> list[Sample]:
    """The first one of each step, and the last."""
    kept = [one for before, one in zip([None, *samples], samples, strict=False) if _begins(before, one)]
    return kept if kept[-1] is samples[-1] else [*kept, samples[-1]]


def _begins(before: Sample | None, one: Sample) -> bool:
    return before is None or before.seconds // STEP_S != one.seconds // STEP_S


def _row(sample: Sample) -> str:
    cells = (f"{sample.rss[name] / MIB:.1f}" for name in PROCESSES)
    return f"| {sample.seconds / 60:.0f} | {' | '.join(cells)} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Write both files; 1 and nothing written for a soak that failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak_report", description=__doc__)
    parser.add_argument("result", nargs="?", type=Path, default=OUT)
    parser.add_argument("--into", type=Path, default=PAGES)
    options = parser.parse_args(argv)
    result = msgspec.json.decode(options.result.read_bytes(), type=Result)
    if not result.passed:
        print(f"{options.result}: this soak failed: {'; '.join(result.findings)}", file=sys.stderr)
        return 1
    raw = msgspec.json.encode(result).replace(b'{"seconds"', b'\n{"seconds"')  # a sample a line
    (options.into / "soak.json").write_bytes(raw + b"\n")
    (options.into / "soak.md").write_text(page(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
