"""The futures calendar in ../shared/data, read on its own: what it says of every day, night and moment.

Nothing here is shared with ``gateway.calendar``: trading days and nights come from the file's two lists, a moment's
trading day from walking over its days one by one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

NAME = "calendar_futures_2021_2026.toml"
ONE = timedelta(days=1)


@dataclass(frozen=True)
class FuturesList:
    first: date
    last: date
    holidays: frozenset[date]
    no_night: frozenset[date]

    @classmethod
    def read(cls, data: Path) -> FuturesList:
        table = tomllib.loads((data / NAME).read_text("utf-8"))
        return cls(
            table["start_date"],
            table["end_date"],
            frozenset(table["holiday_dates"]),
            frozenset(table["no_night_trading_dates"]),
        )

    def days(self) -> Iterator[date]:
        """Every day, weekends included."""
        for number in range((self.last - self.first).days + 1):
            yield self.first + number * ONE

    def trades(self, day: date) -> bool:
        return day.isoweekday() <= 5 and day not in self.holidays

    def night(self, day: date) -> bool:
        """On the evening of the day. Of the last one it says nothing: what follows is not in the list."""
        return self.trades(day) and day not in self.no_night

    def following(self, day: date) -> date:
        """The next trading day; an error past the list's end."""
        day += ONE
        while not self.trades(day):
            day += ONE
        if day > self.last:
            raise LookupError(f"after {self.last}")
        return day

    def preceding(self, day: date) -> date:
        day -= ONE
        while not self.trades(day):
            day -= ONE
        return day
