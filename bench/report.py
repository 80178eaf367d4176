"""From the records of all rounds to ratios, targets, the table and ``latest.json``. Pure but for ``write``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from bench.cases import CASES, MANY, PROMPT, PROMPT_LINGER_MS, TARGET_RATES
from bench.harness import Record

SATURATION = "saturation"
RATIOS = (
    ("per_tick", "naive"),
    ("per_tick", "raw"),
    ("batch", "raw"),
    ("per_tick", "vnpy_rpc"),
    ("hot_pair", "raw"),
    ("hot_pair", "per_tick"),
)
PROCESSES = ("line", "core", "server", "consumer", "feeder")
GATEWAY = ("line", "core")
"""The processes whose CPU time is the gateway's."""


class Spread(msgspec.Struct, frozen=True):
    """A figure over the rounds."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """None without values."""
        if not values:
            return None
        return cls(*(round(figure, 4) for figure in (median(values), min(values), max(values))))


class Target(msgspec.Struct, frozen=True):
    """One line of the issue's list."""

    name: str
    wanted: str
    value: float | None
    passed: bool | None
    """None: not measured."""


class Round(msgspec.Struct):
    """What one round gave."""

    records: list[Record]
    left_out: dict[str, str]
    """``case/offered`` → why there is no record."""


class Report(msgspec.Struct, kw_only=True):
    """``latest.json``."""

    source: str
    rounds: int
    quick: bool
    cases: dict[str, dict[str, Any]]
    ratios: dict[str, Spread | None]
    targets: list[Target]
    left_out: dict[str, str]
    machine: dict[str, Any]
    all_rounds: list[Round]


def summarize(rounds: Sequence[Round], *, source: str, quick: bool, machine: Mapping[str, Any]) -> Report:
    """Everything that the report says."""
    left_out: dict[str, str] = {}
    for each in rounds:
        left_out.update(each.left_out)
    ratios = {f"{one}/{other}": ratio(rounds, one, other) for one, other in RATIOS}
    ratios[f"cost@{MANY}/cost@100"] = growth(rounds)
    return Report(
        source=source,
        rounds=len(rounds),
        quick=quick,
        cases=cases_of(rounds),
        ratios=ratios,
        targets=targets_of(rounds, ratios),
        left_out=left_out,
        machine=dict(machine),
        all_rounds=list(rounds),
    )


def find(one: Round, case: str, offered: str) -> Record | None:
    """The record of a step in one round."""
    return next((record for record in one.records if (record.case, record.offered) == (case, offered)), None)


def ratio(rounds: Sequence[Round], case: str, other: str) -> Spread | None:
    """Rates at saturation divided inside each round; rounds that lost ticks in either do not count."""
    values = []
    for each in rounds:
        above, below = find(each, case, SATURATION), find(each, other, SATURATION)
        if above and below and below.rate and not (above.lost or below.lost or above.wrong or below.wrong):
            values.append(above.rate / below.rate)
    return Spread.of(values)


def cost(record: Record) -> float:
    """CPU µs a tick of the gateway alone: line and core."""
    return sum(record.cpu_us.get(name, 0.0) for name in GATEWAY)


def growth(rounds: Sequence[Round], case: str = "per_tick") -> Spread | None:
    """Cost of a tick with many contracts against few, offered alike, inside each round."""
    values = []
    for each in rounds:
        many, few = find(each, case, f"{SATURATION}@{MANY}"), find(each, case, SATURATION)
        if many and few and cost(few) and not (many.lost or few.lost):
            values.append(cost(many) / cost(few))
    return Spread.of(values)


def merge(records: Sequence[Record]) -> dict[str, Any]:
    """Medians over rounds; losses add up."""
    names = sorted({name for record in records for name in record.cpu_us})
    figures: dict[str, Any] = {
        key: round(median(getattr(record, key) for record in records), 4)
        for key in ("rate", "p50_ms", "p99_ms", "p999_ms")
    }
    return figures | {
        "max_ms": max(record.max_ms for record in records),
        "lost": sum(record.lost for record in records),
        "duplicates": sum(record.duplicates for record in records),
        "wrong": sum(record.wrong for record in records),
        "cpu_us": {name: round(median(record.cpu_us.get(name, 0.0) for record in records), 3) for name in names},
    }


def cases_of(rounds: Sequence[Round]) -> dict[str, dict[str, Any]]:
    """By case: the figures at saturation, and under ``offered`` those of each offered rate."""
    grouped: dict[str, dict[str, list[Record]]] = {}
    for each in rounds:
        for record in each.records:
            grouped.setdefault(record.case, {}).setdefault(record.offered, []).append(record)
    cases: dict[str, dict[str, Any]] = {}
    for name, by_rate in grouped.items():
        merged = {offered: merge(records) for offered, records in by_rate.items()}
        top = merged.pop(SATURATION, None)
        cases[name] = {"title": CASES[name].title, **(top or {}), "offered": merged}
    return cases


def targets_of(rounds: Sequence[Round], ratios: Mapping[str, Spread | None]) -> list[Target]:
    """The aims of the project, judged on the median of the rounds."""

    def over(case: str, offered: str, figure: Callable[[Record], float]) -> float | None:
        records = [record for each in rounds if (record := find(each, case, offered))]
        return round(median(figure(record) for record in records), 4) if records else None

    def target(name: str, wanted: str, value: float | None, passes: Callable[[float], bool]) -> Target:
        return Target(name, wanted, value, None if value is None else passes(value))

    def above(name: str, value: float | None, least: float) -> Target:
        return target(name, f"≥ {least:,g}", value, lambda v: v >= least)

    def below(name: str, value: float | None, most: float) -> Target:
        return target(name, f"≤ {most:,g}", value, lambda v: v <= most)

    def middle(name: str) -> float | None:
        spread = ratios.get(name)
        return spread.median if spread else None

    fast = TARGET_RATES["per_tick"]
    pair = TARGET_RATES["hot_pair"]
    records = [record for each in rounds for record in each.records]
    losses = [record.lost + record.duplicates for record in records]
    wrong = [record.wrong for record in records if CASES[record.case].lines > 1]
    return [
        above("per_tick ticks/s at saturation", over("per_tick", SATURATION, lambda r: r.rate), fast),
        below(f"per_tick p99 ms at {fast:,}/s offered", over("per_tick", str(fast), lambda r: r.p99_ms), 10),
        above("batch ticks/s at saturation", over("batch", SATURATION, lambda r: r.rate), TARGET_RATES["batch"]),
        below("per_tick p99 ms at 20,000/s", over("per_tick", "20000", lambda r: r.p99_ms), 2),
        below("batch p99 ms at 20,000/s", over("batch", "20000", lambda r: r.p99_ms), 2),
        above("hot_pair published/s at saturation", over("hot_pair", SATURATION, lambda r: r.rate), pair),
        below(f"hot_pair p99 ms at {pair:,}/s published", over("hot_pair", str(pair), lambda r: r.p99_ms), 10),
        below(
            f"hot_pair p99 ms at {PROMPT:,}/s, linger {PROMPT_LINGER_MS:g} ms",
            over("hot_pair", f"{PROMPT}~{PROMPT_LINGER_MS:g}", lambda r: r.p99_ms),
            1,
        ),
        below("arbitration, µs a tick, 100 contracts", over("arbitrate", SATURATION, cost), 1.5),
        below(f"arbitration, µs a tick, {MANY:,} contracts", over("arbitrate", f"{SATURATION}@{MANY}", cost), 1.5),
        above("per_tick/naive", middle("per_tick/naive"), 12),
        above("per_tick/raw", middle("per_tick/raw"), 0.07),
        above("batch/raw", middle("batch/raw"), 0.12),
        above("hot_pair/raw", middle("hot_pair/raw"), 0.04),
        above("per_tick/vnpy_rpc", middle("per_tick/vnpy_rpc"), 8),
        below(f"cost a tick, {MANY:,} against 100 contracts", middle(f"cost@{MANY}/cost@100"), 1.25),
        below("ticks lost or doubled, all runs", float(sum(losses)) if losses else None, 0),
        below("pairs: wrong content, order or books", float(sum(wrong)) if wrong else None, 0),
    ]


def rate_text(offered: str) -> str:
    """``20,000/s``, ``saturation of 30,000`` (contracts) or ``10,000/s, linger 0`` (ms)."""
    step, lingering, linger_ms = offered.partition("~")
    rate, at, contracts = step.partition("@")
    text = f"{int(rate):,}/s" if rate.isdigit() else rate
    if at:
        text += f" of {int(contracts):,}"
    return f"{text}, linger {linger_ms}" if lingering else text


def table_rows(report: Report) -> Iterable[tuple[str, ...]]:
    """One row a case and rate, in words: case, offered, rate, p50, p99, p99.9, lost, then CPU in PROCESSES' order."""
    for name, case in report.cases.items():
        rows = {SATURATION: case} if "rate" in case else {}
        for offered, row in (rows | case["offered"]).items():
            cpu = (row["cpu_us"].get(process) for process in PROCESSES)
            late = row["p50_ms"], row["p99_ms"], row["p999_ms"]
            alone = not CASES[name].consume  # nothing travels, so nothing is late
            yield (
                name,
                rate_text(offered),
                f"{row['rate']:,.0f}",
                *("" if alone else f"{figure:.2f}" for figure in late),
                f"{row['lost']:,}",
                *("" if value is None else f"{value:.2f}" for value in cpu),
            )


def write(report: Report, path: Path) -> None:
    """As JSON, for machines and for comparing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
