"""What one line carries now, told on: to its subscriptions, to the ledger, and kept as marks for the watchdog."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.flow.subscriptions import Subscriptions
from gateway.flow.topics import Topic, Topics
from gateway.model import Instrument, LineId


class CoverageBooks(Protocol):
    """The ledger, as far as a line tells it something."""

    def covered(self, line: LineId, instruments: list[Instrument]) -> None: ...
    def uncovered(self, line: LineId, instruments: list[Instrument], reason: str) -> None: ...
    def line_lost(self, line: LineId, reason: str, *, since_ns: int | None = None) -> None: ...


class Carrying:
    """Stands between a line and its subscriptions (implements ``lines.line.SubscriptionEvents``).

    The ledger hears of a confirmation only when the subscriptions took it: a late answer for a contract that nobody
    wants any more is no coverage.
    """

    def __init__(
        self,
        subscriptions: Subscriptions,
        books: CoverageBooks,
        topics: Topics,
        heard_ns: Callable[[], int | None],
    ) -> None:
        """``heard_ns``: the last sign of life before a hang, Unix nanoseconds; None when the line did not hang."""
        self.subscriptions = subscriptions
        self.marks: list[Topic] = []
        """The streams of confirmed contracts, ticked or not. It grows at its end; anything else is a new list."""
        self._line = subscriptions.line
        self._books = books
        self._topics = topics
        self._heard_ns = heard_ns
        self._closing = False

    def close(self) -> None:
        """The gateway stops: what ends now is no news for the ledger, the next start writes it down."""
        self._closing = True

    def line_up(self) -> None:
        self.subscriptions.line_up()

    def line_down(self, reason: str) -> None:
        self.subscriptions.line_down(reason)
        self.marks = []
        if not self._closing:
            self._books.line_lost(self._line, reason or "line down", since_ns=self._heard_ns())

    def on_confirmed(self, instruments: Sequence[Instrument]) -> None:
        confirmed = self.subscriptions.confirmed
        new = [one for one in dict.fromkeys(instruments) if one not in confirmed]
        self.subscriptions.on_confirmed(instruments)
        taken = [one for one in new if one in confirmed]
        self.marks += [self._topics.of(one.exchange, one.code) for one in taken]
        if taken:
            self._books.covered(self._line, taken)

    def on_refused(self, instrument: Instrument, reason: str) -> None:
        self.subscriptions.on_refused(instrument, reason)
        if instrument not in self.subscriptions.confirmed:
            self._forget([instrument])
            self._books.uncovered(self._line, [instrument], reason)

    def on_unsubscribed(self, instruments: Sequence[Instrument]) -> None:
        self.subscriptions.on_unsubscribed(instruments)
        gone = [one for one in instruments if one not in self.subscriptions.confirmed]
        self._forget(gone)
        if gone and not self._closing:
            self._books.uncovered(self._line, gone, "unsubscribed")

    def silent(self, reason: str, since_ns: int | None) -> None:
        """The watchdog's verdict: confirmed, and nothing comes."""
        self._books.line_lost(self._line, reason, since_ns=since_ns)

    def speaks(self) -> None:
        """The watchdog takes it back."""
        self._books.covered(self._line, list(self.subscriptions.confirmed))

    def _forget(self, instruments: Sequence[Instrument]) -> None:
        gone = set(instruments)
        if any(mark.instrument in gone for mark in self.marks):
            self.marks = [mark for mark in self.marks if mark.instrument not in gone]
