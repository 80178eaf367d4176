"""Which contracts a feed is asked to carry: patterns over the catalogue, and names as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.errors import SettingsError
from gateway.model import Contract, Instrument
from gateway.settings import FeedSettings
from gateway.subjects import matcher, subscription_subject

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


def meant(asked: Iterable[str | Instrument], known: Sequence[Instrument]) -> list[Instrument]:
    """The instruments that names and patterns mean. Without a catalogue (``known`` is empty) a name means itself.

    Raises ValueError for a text that is neither, and for one that matches nothing that is known.
    """
    names = {str(instrument): instrument for instrument in known}
    found_all: list[Instrument] = []
    for one in asked:
        if is_pattern(str(one)):
            subscription_subject(str(one))
            found = [instrument for name, instrument in names.items() if matcher(str(one))(name)]
        else:
            found = [names[str(one)]] if str(one) in names else []
            if not found and not names:
                found = [Instrument.parse(str(one))]
        if not found:
            raise ValueError(f"{one} matches none of {len(names)} contracts; write EXCHANGE.CODE, case counts")
        found_all += found
    return found_all
