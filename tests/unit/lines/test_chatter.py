"""What a library prints is shown up to so many lines a second; the rest is told as a number."""

from __future__ import annotations

from gateway.lines.chatter import Chatter


def test_a_few_lines_a_second_are_all_shown() -> None:
    chatter = Chatter(per_second=3)
    assert [chatter.takes(now) for now in (10.0, 10.2, 10.9, 11.0, 11.5, 12.3)] == [True] * 6
    assert chatter.left_out(20.0) == chatter.left_out() == 0


def test_a_flood_is_cut_and_its_number_told_once_when_its_second_is_over() -> None:
    chatter = Chatter(per_second=3)
    shown = [chatter.takes(10.0 + n / 1000) for n in range(500)]
    assert shown == [True] * 3 + [False] * 497
    assert chatter.left_out(10.6) == 0
    assert chatter.left_out(11.0) == 497
    assert chatter.left_out(11.0) == 0
    assert chatter.takes(11.0)


def test_what_was_left_out_before_the_end_is_told_at_the_end() -> None:
    chatter = Chatter(per_second=1)
    assert [chatter.takes(5.0) for _ in range(4)] == [True, False, False, False]
    assert chatter.left_out() == 3
