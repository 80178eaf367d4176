from __future__ import annotations

from typing import Any

from runbook.schedule.jump import JumpWatch


class TwoClocks:
    def __init__(self) -> None:
        self.wall, self.mono = 1_000.0, 50.0

    def wall_ns(self) -> int:
        return round(self.wall * 1e9)

    def monotonic(self) -> float:
        return self.mono

    def move(self, wall: float, mono: float) -> Any:
        self.wall += wall
        self.mono += mono


def test_time_that_passes_is_no_jump_however_long() -> None:
    clocks = TwoClocks()
    watch = JumpWatch(clocks)
    clocks.move(15, 15)
    assert watch.look() == 0.0
    clocks.move(86_401.9, 86_400)
    assert watch.look() == 0.0


def test_a_suspend_is_a_jump_forward_told_once() -> None:
    clocks = TwoClocks()
    watch = JumpWatch(clocks)
    clocks.move(3615, 15)
    assert round(watch.look()) == 3600
    clocks.move(15, 15)
    assert watch.look() == 0.0


def test_a_clock_set_back_is_a_jump_back() -> None:
    clocks = TwoClocks()
    watch = JumpWatch(clocks)
    clocks.move(-585, 15)
    assert round(watch.look()) == -600
