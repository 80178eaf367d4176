"""The policy ``shard``: contracts split over the accounts, for more contracts than one login may have.

Rendezvous hashing: every contract ranks all lines by a hash of both names (blake2b, the same in every process) and
goes to the first of its ranking that is usable and has room. When a line dies only its own contracts move; when it
comes back only those that rank it above where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Final

from gateway.control.routing.standing import Standing, prefer, standing
from gateway.model import Instrument
from gateway.plan import Carry, Plan, View

_REMEMBERED: Final = 1 << 18


class Shard:
    """All lines are logged in; each carries its share. What does not fit anywhere is in ``Plan.unplaced``."""

    def __init__(self) -> None:
        self._weights: dict[tuple[Instrument, str], bytes] = {}
        """Remembered hashes: they depend on the names alone, so the answer does not depend on them being here."""
        self._last: tuple[object, Mapping[str, Carry], frozenset[Instrument]] = (None, {}, frozenset())
        """The last question about places, and its answer: most views differ from the one before in other things."""

    def plan(self, view: View) -> Plan:
        """The plan for now."""
        active = prefer(view)
        carriers = [line for line in view.lines if standing(line) in (Standing.GOOD, Standing.SHAKY)]
        carriers = carriers or [line for line in view.lines if line.usable]
        room = {line.name: len(view.wanted) if line.capacity is None else line.capacity for line in carriers}
        names = tuple(line.name for line in view.lines)
        carries = tuple(view.current.carry.get(name) for name in room)
        question = (names, view.wanted, tuple(room.items()), carries)
        if question != self._last[0]:
            self._last = (question, *self._shares(view, room))
        _, carry, left = self._last
        return Plan(prefer=active.name if active else None, login=frozenset(names), carry=carry, unplaced=left)

    def _shares(self, view: View, room: dict[str, int]) -> tuple[Mapping[str, Carry], frozenset[Instrument]]:
        """What each line carries, and what has no place."""
        placed = self._place(view, room)
        mine: dict[str, set[Instrument]] = {line.name: set() for line in view.lines}
        for instrument, line in placed.items():
            mine[line].add(instrument)
        return MappingProxyType({line: frozenset(share) for line, share in mine.items()}), view.wanted - placed.keys()

    def _place(self, view: View, room: dict[str, int]) -> dict[Instrument, str]:
        placed = self._kept(view, room)
        if not room:
            return placed
        rankings = {one: self._ranking(one, list(room)) for one in sorted(view.wanted)}
        moved = True
        while moved:
            # a move frees room that another contract ranks higher: again, until nobody can do better. It ends, since
            # each move is to a better place in that contract's own ranking
            moved = False
            for instrument, ranking in rankings.items():
                here = placed.get(instrument)
                for line in ranking:
                    if line == here:
                        break
                    if room[line] > 0:
                        room[line] -= 1
                        if here is not None:
                            room[here] += 1
                            moved = True
                        placed[instrument] = line
                        break
        return placed

    def _kept(self, view: View, room: dict[str, int]) -> dict[Instrument, str]:
        """What lines carry already, as far as they still may. Takes it out of ``room``."""
        kept: dict[Instrument, str] = {}
        for line, most in list(room.items()):
            mine = sorted((view.current.carries(line, view.wanted) & view.wanted) - kept.keys())[:most]
            kept.update(dict.fromkeys(mine, line))
            room[line] = most - len(mine)
        return kept

    def _ranking(self, instrument: Instrument, lines: list[str]) -> list[str]:
        return sorted(lines, key=lambda line: self._weight(instrument, line), reverse=True)

    def _weight(self, instrument: Instrument, line: str) -> bytes:
        key = (instrument, line)
        weight = self._weights.get(key)
        if weight is None:
            if len(self._weights) >= _REMEMBERED:
                self._weights.clear()
            weight = blake2b(f"{line}\0{instrument}".encode(), digest_size=8).digest()
            self._weights[key] = weight
        return weight


def shares(plan: Plan) -> Mapping[str, int]:
    """How many contracts each line carries, for pages and logs (lines that carry ``"all"`` are left out)."""
    return {line: len(carried) for line, carried in plan.carry.items() if not isinstance(carried, str)}
