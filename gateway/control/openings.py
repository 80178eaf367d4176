"""Which products are open now and since when, asked once per product and look instead of once per contract."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gateway.control.switching import Phase, Phases
from gateway.model import Instrument

_LETTERS: Final = re.compile(r"[A-Za-z]*")
_NS: Final = 1_000_000_000


class Group:
    """Contracts of one product: they share their hours."""

    __slots__ = ("closed_ns", "member", "opened_ns", "phase")

    def __init__(self, member: Instrument) -> None:
        self.member = member
        self.phase: Phase = "closed"
        self.opened_ns = 0
        """The look at which it was seen open first, after it was not."""
        self.closed_ns = 0
        """The look at which it was seen closed first (a break is not closed)."""

    @property
    def open(self) -> bool:
        return self.phase == "open"


class Openings:
    """The groups of all contracts that were ever asked for."""

    def __init__(self, phases: Phases) -> None:
        self._phases = phases
        self._groups: dict[tuple[str, str], Group] = {}

    def group(self, instrument: Instrument, now_ns: int) -> Group:
        """The group of a contract."""
        key = _key(instrument)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(instrument)
            group.closed_ns = now_ns
            self._look(group, now_ns)
        return group

    def look(self, now_ns: int) -> None:
        """Ask for the phases as of now."""
        for group in self._groups.values():
            self._look(group, now_ns)

    def restart(self, now_ns: int) -> None:
        """What is open counts as opened now."""
        for group in self._groups.values():
            if group.open:
                group.opened_ns = now_ns

    def _look(self, group: Group, now_ns: int) -> None:
        was, group.phase = group.phase, self._phases.phase(group.member, now_ns)
        if group.open and was != "open":
            group.opened_ns = now_ns
        if group.phase == "closed" and was != "closed":
            group.closed_ns = now_ns


def opened_ns(groups: Iterable[Group]) -> int | None:
    """Since when any of them has been open; None when none is."""
    return min((group.opened_ns for group in groups if group.open), default=None)


def _key(instrument: Instrument) -> tuple[str, str]:
    code = instrument.code
    # combinations ("SP a2505&a2509") and numbers for codes stand for themselves or their exchange
    return instrument.exchange, code if " " in code else (_LETTERS.match(code) or [""])[0]
