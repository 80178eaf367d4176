"""Which contracts the settings ask for, so that one that fell out of the gateway's wishes is seen as missing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gateway.errors import SettingsError
from gateway.model import Contract
from gateway.settings import FeedSettings
from gateway.wanting import is_pattern, wanted_instruments


def configured(
    feeds: Mapping[str, FeedSettings], contracts: Sequence[Contract], wanted: Mapping[str, Collection[str]]
) -> dict[str, set[str]]:
    """Feed → names that its settings want. ``wanted``: what each running feed wants now, which are the feeds asked for.

    The gateway tells the contracts of all feeds in one list. With several feeds a contract that no feed wants is
    therefore counted, once, only when all feeds that carry its exchange are set to want it: a pattern ``*`` of
    one feed does not claim what only another one's catalogue has.
    """
    asked = {feed: _matches(feed, feeds[feed], contracts) if feed in feeds else set() for feed in wanted}
    if len(wanted) < 2:  # noqa: PLR2004 - one feed: no question whose it is
        return asked
    mine = {feed: {name for name in names if _by_name(name, feeds.get(feed))} for feed, names in asked.items()}
    exchanges = {feed: {_exchange(name) for name in names} for feed, names in wanted.items()}
    taken = set().union(*wanted.values(), *mine.values())
    for name in sorted(set().union(*asked.values()) - taken):
        carriers = [feed for feed in wanted if _exchange(name) in exchanges[feed]]
        if carriers and all(name in asked[feed] for feed in carriers):
            mine[carriers[0]].add(name)
    for feed, names in wanted.items():
        mine[feed] |= asked[feed].intersection(names)
    return mine


def _matches(feed: str, settings: FeedSettings, contracts: Sequence[Contract]) -> set[str]:
    try:
        return {str(one) for one in wanted_instruments(feed, settings, contracts)}
    except SettingsError:  # nothing matches; the caller sees what the gateway wants instead
        return set()


def _by_name(name: str, settings: FeedSettings | None) -> bool:
    return settings is not None and any(name == text for text in settings.instruments if not is_pattern(text))


def _exchange(name: str) -> str:
    return name.partition(".")[0]
