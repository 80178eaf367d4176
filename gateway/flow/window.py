"""What the arbiter remembers of one contract: the last published snapshots, and how far each line got in them."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Any

Key = tuple[int, int, int]
"""``(trading_day, volume, exchange_ns)``: what "newer" means."""

NOTHING: Key = (-1, -1, -1)
"""Older than anything."""

Arrival = tuple[Any, int, int, int, int, bytes]
"""``(topic, trading_day, exchange_ns, volume, recv_ns, market bytes)``"""


class Face:
    """How one line's book of a contract looked when it was last contradicted."""

    __slots__ = ("book", "changes", "position", "same")

    def __init__(self, book: object, position: int) -> None:
        self.book = book
        self.same = 0
        """Contradictions in a row with this very book."""
        self.changes = 0
        self.position = position


class Contract:
    """The state of one contract. ``entries``, ``keys`` and ``who`` run side by side, oldest first.

    ``cursors[line]`` is the index in ``entries`` that the line should deliver next; ``len(entries)`` when it has
    delivered the newest. Keys never fall from one entry to the next; ``newest`` is the last one.
    """

    __slots__ = (
        "base", "cursors", "depth", "entries", "faces", "floors", "full", "keys", "limits", "name", "newest", "queues",
        "reached", "refused", "rivals", "shadow", "stuck", "watched", "who", "withdrawals",
    )  # fmt: skip

    def __init__(self, name: str, lines: int, depth: int) -> None:
        self.name = name
        self.depth = depth
        self.entries: list[bytes] = []
        self.keys: list[Key] = []
        self.who: list[int] = []
        """Index of the line that published the entry."""
        self.cursors = [0] * lines
        self.queues: list[list[Any]] = []
        """Ticks in the reorder window (its business), per line, in order of their keys."""
        self.base = 0
        """Entries that were cut off at the front."""
        self.newest: Key = NOTHING
        self.full = 2 * depth
        """At more entries than this the oldest are cut off."""
        self.floors: dict[int, Key] = {}
        """Line → key of its last aligned tick, once that has left the window."""
        self.reached: dict[int, int] = {}
        """Line → its cursor before it last logged in again."""
        self.withdrawals = 0
        """Ticks in a row by which the publisher of the newest entry contradicted its own entry."""
        self.limits: tuple[int, float, float] | None = None
        """``(trading_day, lower, upper)`` as the lines first said it."""
        self.rivals: dict[bytes, int] = {}
        """Snapshots that were refused, and the line that brought them."""
        self.refused: list[tuple[int, Key, bytes]] = []
        """``(line, key, snapshot)`` refused under the newest key: if another line publishes it, this one had it."""
        self.watched = False
        """Whether ``refused`` or ``shadow`` may have something to do with the next published snapshot."""
        self.faces: dict[int, Face] = {}
        self.stuck: dict[int, tuple[Key, int, int]] = {}
        """Line → the snapshot that it repeats, ``total`` when it began to, how often."""
        self.shadow: deque[tuple[int, bytes]] = deque()
        """``(line, snapshot)`` of suspect lines that wait to be confirmed."""

    def extend(self, line: int, key: Key, market: bytes) -> None:
        """A snapshot was published, from this line."""
        entries = self.entries
        entries.append(market)
        self.keys.append(key)
        self.who.append(line)
        self.newest = key
        self.cursors[line] = size = len(entries)
        if self.withdrawals:
            self.withdrawals = 0
        if size > self.full:
            self._trim(size)

    def _trim(self, size: int) -> None:
        cut = size - self.depth
        while cut and self.keys[cut - 1] == self.newest and size - cut < 8 * self.depth:
            cut -= 1  # snapshots that share the newest key are needed to tell a copy from a correction
        self.full = size - cut + self.depth
        if not cut:
            return
        for line, cursor in enumerate(self.cursors):
            if cursor <= cut:
                if cursor:
                    self.floors[line] = self.keys[cursor - 1]
                self.cursors[line] = 0
            else:
                self.cursors[line] = cursor - cut
        self.reached = {line: cursor - cut for line, cursor in self.reached.items() if cursor > cut}
        del self.entries[:cut], self.keys[:cut], self.who[:cut]
        self.base += cut

    @property
    def total(self) -> int:
        """Entries ever published."""
        return self.base + len(self.entries)

    def find(self, line: int, market: bytes) -> int:
        """Index of these bytes at or after the line's cursor, or -1."""
        try:
            return self.entries.index(market, self.cursors[line])
        except ValueError:
            return -1

    def position(self, line: int) -> int:
        """How far a line ever got. What it brought before a new login still shows what it knows."""
        return max(self.cursors[line], self.reached.get(line, 0))

    def last_of(self, line: int) -> Key | None:
        """Key of the line's last aligned tick; None when it has none since it logged in."""
        cursor = self.cursors[line]
        return self.keys[cursor - 1] if cursor else self.floors.get(line)

    def is_sole_witness(self, line: int) -> bool:
        """Whether the newest entry is this line's, and no other line has confirmed it."""
        size = len(self.entries)
        return (
            bool(size)
            and self.who[-1] == line
            and [c for c in self.cursors if c == size] == [size]
            and (self.cursors[line] == size)
        )

    def forget(self, line: int) -> None:
        """The line begins anew."""
        if self.cursors[line]:
            self.reached[line] = self.position(line)
            self.cursors[line] = 0
        self.floors.pop(line, None)
        self.faces.pop(line, None)

    def withdraw(self, lines: Collection[int]) -> int:
        """Take back the newest entries that only these lines vouch for. Returns how many there were."""
        keep = len(self.entries)
        confirmed = max((cursor for line, cursor in enumerate(self.cursors) if line not in lines), default=0)
        while keep > confirmed and self.who[keep - 1] in lines:
            keep -= 1
        gone = len(self.entries) - keep
        if gone:
            self._cut_back(keep)
        return gone

    def withdraw_newest(self) -> None:
        """Take back the newest entry, whoever vouches for it."""
        self._cut_back(len(self.entries) - 1)

    def _cut_back(self, keep: int) -> None:
        del self.entries[keep:], self.keys[keep:], self.who[keep:]
        self.newest = self.keys[-1] if keep else NOTHING
        self.cursors = [min(cursor, keep) for cursor in self.cursors]
        self.reached = {line: min(cursor, keep) for line, cursor in self.reached.items()}
        self.withdrawals = 0
