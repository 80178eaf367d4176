"""How a line distorts what it delivers: late, out of order, twice, or wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Style(msgspec.Struct, frozen=True):
    """The distortions in force."""

    mute: bool = False
    delay_ms: int = 0
    reorder: bool = False
    duplicate: bool = False
    lie: bool = False


class Distortion(Generic[T]):
    """A stage in front of a line: takes ticks of contracts, hands on what the style makes of them."""

    def __init__(
        self,
        deliver: Callable[[str, T], None],
        later: Callable[[float, Callable[[], None]], object],
        lie: Callable[[T, int], T],
    ) -> None:
        """``later(seconds, call)``; ``lie(tick, number)`` makes a wrong one of it."""
        self.style = Style()
        self._deliver, self._later, self._lie = deliver, later, lie
        self._held: dict[str, T] = {}
        self._lies = 0

    def set(self, style: Style) -> None:
        """From now on."""
        self.style = style
        self._held.clear()

    def take(self, code: str, tick: T) -> None:
        """One tick of a contract."""
        style = self.style
        if style.mute:
            return
        if style.lie:
            self._lies += 1
            tick = self._lie(tick, self._lies)
        if style.reorder:
            # neighbours of one contract change places
            held = self._held.pop(code, None)
            if held is None:
                self._held[code] = tick
                return
            self._pass(code, tick)
            self._pass(code, held)
            return
        self._pass(code, tick)
        if style.duplicate:
            self._pass(code, tick)

    def _pass(self, code: str, tick: T) -> None:
        if self.style.delay_ms:
            self._later(self.style.delay_ms / 1000, lambda: self._deliver(code, tick))
        else:
            self._deliver(code, tick)
