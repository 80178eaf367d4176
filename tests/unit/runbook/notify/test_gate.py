"""What goes out and what is held back."""

from __future__ import annotations

from pathlib import Path

from gateway.testing.clock import ManualClock
from runbook.notify import Gate, Message


def gate(path: Path, clock: ManualClock, per_minute: int = 3) -> Gate:
    return Gate(path, clock, dedupe_s=300.0, per_minute=per_minute)


async def test_more_than_the_limit_within_a_minute_is_held_back_and_counted(tmp_path: Path) -> None:
    clock = ManualClock()
    granted = [gate(tmp_path, clock).ask(str(number)) for number in range(5)]
    assert [leave.granted for leave in granted] == [True, True, True, False, False]
    assert granted[4].limited
    await clock.advance(61)
    late = gate(tmp_path, clock).ask("5")
    assert late.granted
    assert late.lost == 2
    assert gate(tmp_path, clock).ask("6").lost == 0


def test_a_clock_that_was_set_back_does_not_silence_anything(tmp_path: Path) -> None:
    assert gate(tmp_path, ManualClock(2_000_000_000_000_000_000), 1).ask("a").granted
    assert gate(tmp_path, ManualClock(1_000_000_000_000_000_000), 1).ask("a").granted


def test_a_damaged_memory_never_holds_a_message_back(tmp_path: Path) -> None:
    clock = ManualClock()
    assert gate(tmp_path, clock).ask("a").granted
    (tmp_path / "notify.json").write_text('{"sent": [')
    assert gate(tmp_path, clock).ask("a").granted


def test_a_place_that_cannot_be_written_never_holds_a_message_back(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert gate(tmp_path / "file" / "state", ManualClock()).ask("a").granted


def test_counts_of_a_message_that_nobody_took_are_not_lost(tmp_path: Path) -> None:
    clock = ManualClock()
    one = gate(tmp_path, clock, 2)
    one.ask("a")
    one.ask("a")
    one.take_back("a", one.ask("b"))
    assert one.ask("c").limited


def test_messages_of_one_key_are_the_same_one() -> None:
    assert Message(title="a", text="1", key="k").digest == Message(title="b", text="2", key="k").digest
    assert Message(title="a", text="1").digest != Message(title="a", text="2").digest
    assert Message(title="ab", text="c").digest != Message(title="a", text="bc").digest
