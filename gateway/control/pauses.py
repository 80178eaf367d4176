"""How long a line may be silent: what the running session has taught about the pauses of what it carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_NS: Final = 1_000_000_000
_REMEMBERED: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRules:
    """Seconds, unless named otherwise."""

    default_s: float = 3.0
    """Allowed before anything is learned."""
    floor_s: float = 2.0
    """Allowed at the least, however busy the market is."""
    bound_s: float = 60.0
    """Allowed at the most (``MD_FAILOVER_THRESHOLD_SECONDS``)."""
    times: float = 3.0
    """The longest pause so far, times this, is allowed."""
    thin: float = 40.0
    """When products close and few are left, so many mean intervals between ticks of the rest are allowed at first."""
    history_s: float = 300.0
    history_ticks: int = 200
    """With so much of both, the default gives way to what was learned."""


class _Lesson:
    """What one set of open products has taught."""

    __slots__ = ("allowed_ns", "began_ns", "longest_ns", "open_ns", "ticks")

    def __init__(self, allowed_ns: float) -> None:
        self.allowed_ns = allowed_ns
        self.longest_ns = 0
        self.ticks = 0
        self.open_ns = 0
        self.began_ns = 0


class Pauses:
    """The pauses of one line, by the set of products that are open."""

    def __init__(self, rules: PauseRules) -> None:
        self._rules = rules
        self._open: frozenset[int] = frozenset()
        self._lessons: dict[frozenset[int], _Lesson] = {}
        self._lesson = _Lesson(rules.default_s * _NS)
        self._quiet_ns = 0

    def market(self, now_open: frozenset[int], now_ns: int) -> None:
        """What the line carries and is open now. A set that was open before is remembered."""
        if now_open == self._open:
            self._lesson.open_ns = now_ns - self._lesson.began_ns
            return
        self._quiet_ns = 0
        lesson = self._lessons.get(now_open)
        if lesson is None:
            if len(self._lessons) >= _REMEMBERED:
                self._lessons.clear()
            lesson = self._lessons[now_open] = _Lesson(self._at_first(now_open))
        lesson.began_ns = now_ns - lesson.open_ns
        self._open, self._lesson = now_open, lesson

    def _at_first(self, now_open: frozenset[int]) -> float:
        """The default; more when most products have just closed, as at 23:00 and 01:00."""
        rules, was = self._rules, self._lesson
        if not now_open or not now_open < self._open:
            return rules.default_s * _NS
        left = len(now_open) / len(self._open)
        mean_ns = was.open_ns / max(was.ticks * left, 1)
        return max(rules.default_s * _NS, rules.thin * mean_ns)

    def quiet(self, silent_ns: int) -> None:
        """Silent for so long, and it goes on."""
        self._quiet_ns = silent_ns

    def ticked(self, ticks: int, learn: bool) -> None:
        """The silence is over."""
        if learn:
            self._lesson.longest_ns = max(self._lesson.longest_ns, self._quiet_ns)
            self._lesson.ticks += ticks
        self._quiet_ns = 0

    @property
    def threshold_ns(self) -> float:
        """Silence beyond this is not the market's."""
        rules, lesson = self._rules, self._lesson
        allowed = lesson.longest_ns * rules.times
        if lesson.ticks < rules.history_ticks or lesson.open_ns < rules.history_s * _NS:
            allowed = max(allowed, lesson.allowed_ns)
        return min(max(allowed, rules.floor_s * _NS), rules.bound_s * _NS)
