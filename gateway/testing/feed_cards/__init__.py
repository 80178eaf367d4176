"""The cards of a feed, in the order of their numbers."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.testing.cards import Card
from gateway.testing.feed_cards import discretion, life, parsing, process, subscribing, trouble, values

FEED_CARDS: Sequence[Card] = (
    *life.CARDS,
    *subscribing.CARDS,
    *trouble.CARDS,
    *discretion.CARDS,
    *values.CARDS,
    *parsing.CARDS,
    *process.CARDS,
)
"""``run`` of each takes a callable that makes a :class:`~gateway.testing.counter.Counter`."""

__all__ = ["FEED_CARDS"]
