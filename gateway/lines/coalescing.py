"""How a line's states become few messages: a vendor in a storm calls back hundreds of times a second."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.lines.messages import FromLine, StateChanged
from gateway.model import LineState

Event = FromLine | tuple[LineState, str]
"""A message as it is, or a state with its reason."""

_DELAY_S = 0.005
"""Vendor states wait this long for each other, so that a storm of them becomes few messages."""
_DELAY_MOST_S = 0.1
"""…and up to so long while all that comes is what was just told: SOPT's library says 730 times a second that a front
has closed. The first of something else still waits no longer than the delay that is running."""
_IN_FULL = 32
"""Up to so many states in one delay are told one by one; more are a storm and are told as LOST, last, count."""


class Pace:
    """How long states wait for each other. For one loop."""

    def __init__(self) -> None:
        self.delay_s = _DELAY_S
        self._told: frozenset[tuple[LineState, str]] = frozenset()

    def told(self, events: Sequence[Event]) -> None:
        """These were told just now.

        Several repetitions in one delay wait longer for each other, each time; anything new, and a pause, end that.
        """
        if not events:
            return
        states = frozenset(event for event in events if isinstance(event, tuple))
        repeated = len(events) > 1 and states <= self._told and all(isinstance(event, tuple) for event in events)
        self.delay_s = min(2 * self.delay_s, _DELAY_MOST_S) if repeated else _DELAY_S
        self._told = states


def coalesce(events: Sequence[Event]) -> Iterable[FromLine]:
    """States told as few messages as possible, the rest as it is; order kept."""
    states = [event for event in events if isinstance(event, tuple)]
    if len(states) > _IN_FULL:
        yield from (event for event in events if not isinstance(event, tuple))
        losses = [reason for state, reason in states if state is LineState.LOST]
        last, reason = states[-1]
        if losses and last is not LineState.LOST:
            yield StateChanged(state=LineState.LOST, reason=losses[-1], calls=len(states) - 1)
            yield StateChanged(state=last, reason=reason)
        else:
            yield StateChanged(state=last, reason=reason, calls=len(states))
        return
    waiting: StateChanged | None = None
    for event in events:
        if isinstance(event, tuple):
            state, reason = event
            if waiting is not None and (waiting.state, waiting.reason) == event:
                waiting = StateChanged(state=state, reason=reason, calls=waiting.calls + 1)
                continue
            if waiting is not None:
                yield waiting
            waiting = StateChanged(state=state, reason=reason)
        else:
            if waiting is not None:
                yield waiting
                waiting = None
            yield event
    if waiting is not None:
        yield waiting
