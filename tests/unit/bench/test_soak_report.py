"""The page of a soak says what its samples say, and the one in docs/perf is of a full hour."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench.soak import MIB, Result, Sample, growth_mib, judge
from bench.soak_report import PAGES, main, page
from bench.tally import Outcome


def result(*, findings: list[str] | None = None, lost: int = 0) -> Result:
    rss = {"core": 57 * MIB, "line": 80 * MIB, "server": 20 * MIB, "consumer": 33 * MIB}
    outcome = Outcome(
        received=1_200_000, lost=lost, duplicates=0, rate=2000.0, p50_ms=0.5, p99_ms=1.25, p999_ms=4.0, max_ms=1500.0
    )
    return Result(
        source="sim", rate=2000, minutes=10.0, outcome=outcome,
        balance={"received": 1_200_000, "published": 1_200_000, "dropped": {}}, growth_mib={"core": 0.1},
        flat=True, passed=not findings, findings=findings or [],
        samples=[Sample(float(second), rss) for second in range(0, 600, 10)],
    )  # fmt: skip


def test_the_page_has_verdict_books_latency_and_a_row_for_five_minutes_and_the_last() -> None:
    text = page(result())
    assert "| Verdict | **passed** |" in text
    assert "| Books | received 1,200,000, published 1,200,000, dropped 0 |" in text
    assert "p50 0.50 ms, p99 1.25 ms, p99.9 4.0 ms, longest 1,500 ms" in text
    assert [line for line in text.splitlines() if line.endswith("| 57.0 | 80.0 | 20.0 | 33.0 |")] == [
        f"| {minute} | 57.0 | 80.0 | 20.0 | 33.0 |" for minute in (0, 5, 10)
    ]


def test_a_soak_that_failed_is_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "result.json"
    file.write_bytes(msgspec.json.encode(result(findings=["3 ticks lost"], lost=3)))
    assert main([str(file), "--into", str(tmp_path)]) == 1
    assert "3 ticks lost" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [file]


def test_both_files_are_written_and_the_raw_figures_read_back(tmp_path: Path) -> None:
    made, file = result(), tmp_path / "result.json"
    file.write_bytes(msgspec.json.encode(made))
    assert main([str(file), "--into", str(tmp_path)]) == 0
    assert msgspec.json.decode((tmp_path / "soak.json").read_bytes(), type=Result) == made
    assert (tmp_path / "soak.md").read_text() == page(made)


def test_the_published_page_is_of_a_full_hour_at_the_operators_rate_and_says_what_its_figures_say() -> None:
    kept = msgspec.json.decode((PAGES / "soak.json").read_bytes(), type=Result)
    assert kept.minutes >= 60
    assert kept.outcome.rate >= 5_000
    growth = growth_mib(kept.samples, 60.0)
    assert growth == kept.growth_mib
    assert judge(kept.outcome, kept.balance, growth, 4.0) == []
    assert (PAGES / "soak.md").read_text(encoding="utf-8") == page(kept)
