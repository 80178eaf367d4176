"""Which contracts the settings ask for, so that one that fell out of the gateway's wishes is seen as missing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gateway.errors import SettingsError
from gateway.model import Contract
from gateway.settings import FeedSettings
from gateway.wanting import wanted_instruments


def configured(
    feeds: Mapping[str, FeedSettings], contracts: Mapping[str, Sequence[Contract]], wanted: Collection[str]
) -> dict[str, set[str]]:
    """Feed → names that its settings want, of its own ``contracts``. ``wanted`` are the feeds asked for.

    Two feeds may carry the same exchange (futures of CFFEX by one counter, its options by another): a pattern claims
    only what its own feed's catalogue has.
    """
    return {feed: _matches(feed, feeds[feed], contracts.get(feed, ())) if feed in feeds else set() for feed in wanted}


def _matches(feed: str, settings: FeedSettings, contracts: Sequence[Contract]) -> set[str]:
    try:
        return {str(one) for one in wanted_instruments(feed, settings, contracts)}
    except SettingsError:  # nothing matches; the caller sees what the gateway wants instead
        return set()
