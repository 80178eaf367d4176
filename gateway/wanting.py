"""Which contracts a feed is asked to carry: patterns over the catalogue, and names as they are."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import SettingsError
from gateway.model import Contract, Instrument
from gateway.settings import FeedSettings
from gateway.subjects import matcher

_GLOB = frozenset("*?[")


def is_pattern(text: str) -> bool:
    """Whether a text needs a catalogue to mean something."""
    return not _GLOB.isdisjoint(text)


def wanted_instruments(feed: str, settings: FeedSettings, contracts: Sequence[Contract]) -> list[Instrument]:
    """In the catalogue's order, then names that only the settings know. Raises SettingsError when that is nothing."""
    patterns = [matcher(text) for text in settings.instruments if is_pattern(text)]
    names = {text for text in settings.instruments if not is_pattern(text)}
    excluded = [matcher(text) for text in settings.exclude]
    wanted: dict[Instrument, None] = {}
    for contract in contracts:
        name = str(contract.instrument)
        if name in names or any(match(name) for match in patterns):
            wanted[contract.instrument] = None
    for name in sorted(names):
        wanted.setdefault(Instrument.parse(name))
    found = [one for one in wanted if not any(match(str(one)) for match in excluded)]
    if not found:
        finding = (
            f"feeds.{feed}.instruments: {settings.instruments} matches none of {len(contracts)} contracts "
            "of the catalogue; check the patterns (EXCHANGE.CODE, case counts) and exclude"
        )
        raise SettingsError([finding])
    return found
