"""The snapshot as people read it, and as a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.model import LineState
from gateway.terminal.top.export import ExportError, ExportRefusedError, export
from gateway.terminal.top.telling import facts_of
from gateway.terminal.top.text import snapshot
from gateway.terminal.top.words import milliseconds, percent, plain, span, sparkline
from tests.unit.control.market import switch_of
from tests.unit.terminal.top.looks import coverage_of, line_of, look_of, status_of


def everything():
    return look_of(
        status=status_of(
            lines=[
                line_of("primary", role="active"),
                line_of("backup", state=LineState.LOST, reason="连接断开 [bold]front[/bold]"),
            ],
            warnings=["line ctp:backup is lost"],
        ),
        coverage=(coverage_of(missing=1),),
        switches=(switch_of("ctp", -60, latency_ms=272.0), switch_of("ctp", -90, error="the backup refused")),
        rates=(0.0, 1000.0, 2500.0),
    )


def test_a_snapshot_shows_every_part_with_sign_and_word() -> None:
    text = snapshot(facts_of(everything()))
    assert text.startswith("Feedgate top · feedgate 0.1.0 · 2025-10-09 16:53:20 Shanghai · ctp day\n")
    for words in (
        "! READY, WITH WARNINGS: 1 wanted contract on no line",
        "Coverage ! warning",
        "2,500/s ▁▄█",
        "✓ streaming 15:53:20",
        "✗ lost",
        "400/400",
        "ctp:backup: 连接断开 [bold]front[/bold]",
        "! line ctp:backup is lost",
        "! 99.71 %",
        "16:52:20 ✓ done failover ctp:primary → ctp:backup, 272 ms (command: planned)",
        "16:51:50 ✗ FAILED failover ctp:primary → ctp:backup: the backup refused",
    ):
        assert words in text, words


@pytest.mark.parametrize("width", [80, 100, 160])
def test_a_snapshot_is_plain_text_that_fits_its_width(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    lines = snapshot(facts_of(everything()), width).split("\n")
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) <= width
    assert max(map(len, lines)) > 60


def test_at_80_columns_no_figure_of_a_line_is_cut() -> None:
    wide = status_of(lines=[line_of("primary", wanted=30_000, confirmed=29_999, state=LineState.CONNECTING)])
    text = snapshot(facts_of(look_of(status=wide)), 80)
    assert "29999/30000" in text
    assert "connecting" in text
    assert "…" not in text.partition("Coverage by")[0].partition("Lines")[2]


def test_what_is_stale_says_so_with_its_age() -> None:
    text = snapshot(facts_of(look_of(ages={"coverage": 42.0, "switches": None})))
    assert "Coverage by exchange (? stale, 42 s old)" in text
    assert "Last switches (? no answer yet)" in text
    assert "✓ 100 %" not in text
    assert "? streaming" in snapshot(facts_of(look_of(ages={"status": 11.0})))


def test_a_file_has_the_snapshot_for_its_owner_alone(tmp_path: Path) -> None:
    facts = facts_of(everything())
    export(facts, tmp_path / "top.txt")
    export(facts, tmp_path / "top.json")
    assert (tmp_path / "top.txt").read_text() == snapshot(facts)
    found = json.loads((tmp_path / "top.json").read_text())
    assert (found["kind"], found["state"], len(found["lines"])) == ("feedgate top", "warnings", 2)
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600, 0o600]


def test_an_older_snapshot_is_replaced_and_keeps_no_open_mode(tmp_path: Path) -> None:
    path = tmp_path / "top.json"
    export(facts_of(look_of()), path)
    path.chmod(0o644)
    export(facts_of(everything()), path)
    assert json.loads(path.read_text())["state"] == "warnings"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("name", "content"),
    [("notes.txt", "my notes\n"), ("notes.json", '{"a": 1}'), ("x.json", "Feedgate top · text in a wrong place")],
)
def test_a_file_of_another_kind_is_left_alone(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ExportRefusedError, match="name another file") as caught:
        export(facts_of(look_of()), path)
    assert caught.value.exit_code == 64
    assert path.read_text() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_and_a_directory_are_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "target.txt"
    export(facts_of(look_of()), target)
    link = tmp_path / "link.txt"
    link.symlink_to(target)
    for path in (link, tmp_path):
        with pytest.raises(ExportRefusedError):
            export(facts_of(everything()), path)
    assert link.is_symlink()


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"none/top\.txt"):
        export(facts_of(look_of()), tmp_path / "none" / "top.txt")


def test_figures_carry_their_units_and_never_round_a_loss_away() -> None:
    assert [percent(one) for one in (1.0, 0.99999, 0.5, None)] == ["100 %", "99.99 %", "50.00 %", "-"]
    assert [milliseconds(one) for one in (0.414, 272.4, 1400.0, None)] == ["0.41 ms", "272 ms", "1.4 s", "-"]
    assert [span(one) for one in (8.2, 185, 7800, 280_000)] == ["8 s", "3 min 5 s", "2 h 10 min", "3 d 5 h"]
    assert plain(" a\tb\r\nc\x07 ") == "a b c"


def test_a_sparkline_needs_two_values_and_goes_from_nothing_to_the_largest() -> None:
    assert sparkline((5.0,), 8) == ""
    assert sparkline((0.0, 0.0), 8) == "▁▁"
    assert sparkline((9.0, 0.0, 5.0, 10.0), 3) == "▁▅█"
