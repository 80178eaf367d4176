"""The override file: what the package and the built-in tables do not know yet. TOML, documented in docs/sessions.md.

With ``start_date`` and ``end_date`` the file is the whole calendar of that range: every weekday that is not in
``holiday_dates`` trades, whatever the package says (where the two differ, the days are logged). Without a range its
dates are added to the package's.
"""

from __future__ import annotations

import difflib
import logging
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from gateway.calendar.days import TradingDays, weekdays
from gateway.calendar.errors import CalendarError
from gateway.calendar.hours import Product, minutes
from gateway.calendar.products import find_product

logger = logging.getLogger(__name__)

_DATES: Final = ("holiday_dates", "trading_dates", "no_night_trading_dates")
_SINGLE: Final = ("start_date", "end_date", "last_update_date")
_TABLES: Final = {"hours": ("products", "since", "night_ends"), "products": ("codes", "exchange", "like")}
_NIGHT_ENDS: Final = ("none", "23:00", "23:30", "01:00", "02:30")
_DAY_MINUTES: Final = 24 * 60
_NOON: Final = 12 * 60


@dataclass(frozen=True)
class HoursChange:
    """From the trading day ``since`` on, the night of these products ends elsewhere. None: no night session."""

    products: tuple[str, ...]
    since: date
    night_ends: int | None


@dataclass(frozen=True)
class NewProducts:
    """Products with the hours of another one."""

    codes: tuple[str, ...]
    exchange: str
    like: str


@dataclass(frozen=True)
class Overrides:
    """The file's content, checked."""

    name: str
    holidays: frozenset[date] = frozenset()
    trading: frozenset[date] = frozenset()
    no_night: frozenset[date] = frozenset()
    whole: tuple[date, date] | None = None
    """The range of which the file is the whole calendar."""
    hours: tuple[HoursChange, ...] = ()
    products: tuple[NewProducts, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Overrides:
        """Read the file. Raises CalendarError that names the key and the fix."""
        try:
            data = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise CalendarError(f"override file {path}: {error.strerror}; correct the path or create it") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise CalendarError(f"override file {path} is no TOML: {error}; correct that place") from error
        return _Reader(path.name).overrides(data)

    def days(self, known: TradingDays | None) -> TradingDays:
        """The package's days with this file on top. ``known`` may be None when the file has a range."""
        if self.whole is None:
            if known is None:
                raise CalendarError(f"{self.name} has no start_date and end_date; add them, or install the package")
            return self._onto(known)
        first, last = self.whole
        own = TradingDays.from_holidays(
            first, last, self.holidays - self.trading, no_night=self.no_night, source=self.name
        )
        return own if known is None else self._join(known, own)

    def table(self, products: Mapping[str, Product]) -> dict[str, Product]:
        """The session tables with this file's products and hours on top."""
        table = dict(products)
        for new in self.products:
            like = find_product(new.like, table)
            table |= {code: Product(new.exchange, code, like.history) for code in new.codes}
        for change in self.hours:
            for name in change.products:
                product = find_product(name, table)
                latest = product.history[-1]
                if change.since <= latest.since:
                    raise CalendarError(
                        f"{self.name}: [[hours]] of {name} since {change.since} is not after {latest.since}, its "
                        f"latest known change; correct the date or remove the entry"
                    )
                later = replace(latest, since=change.since, night_ends=change.night_ends)
                table[product.code] = replace(product, history=(*product.history, later))
        return table

    def _onto(self, known: TradingDays) -> TradingDays:
        for day in sorted(self.holidays | self.trading):
            known.require(day)
        days = (set(known.open_days) - self.holidays) | self.trading
        return replace(
            known,
            open_days=tuple(sorted(days)),
            no_night=known.no_night | self.no_night,
            source=f"{known.source} with {self.name}",
        )

    def _join(self, known: TradingDays, own: TradingDays) -> TradingDays:
        one = timedelta(days=1)
        if own.first > known.last + one or own.last < known.first - one:
            raise CalendarError(
                f"{self.name} covers {own.first} to {own.last} and {known.source} {known.first} to {known.last}: "
                f"nobody knows the days between; add them to the file and move its start_date or end_date"
            )
        self._tell_differences(known, own)
        outside = [day for day in known.open_days if not own.first <= day <= own.last]
        return TradingDays(
            min(known.first, own.first),
            max(known.last, own.last),
            tuple(sorted((*outside, *own.open_days))),
            known.no_night | own.no_night,
            f"{known.source} with {self.name}",
        )

    def _tell_differences(self, known: TradingDays, own: TradingDays) -> None:
        first, last = max(known.first, own.first), min(known.last, own.last)
        differing = [day for day in weekdays(first, last) if known.is_trading_day(day) != own.is_trading_day(day)]
        if differing:
            logger.warning(
                "%s and %s differ, the file is followed: %s",
                self.name,
                known.source,
                ", ".join(
                    f"{day} {'trades' if own.is_trading_day(day) else 'closed'} by the file" for day in differing
                ),
            )


class _Reader:
    """Values out of parsed TOML; every complaint names the file and the key."""

    def __init__(self, name: str) -> None:
        self.name = name

    def overrides(self, data: dict[str, Any]) -> Overrides:
        self.keys(data, (*_DATES, *_SINGLE, *_TABLES), "")
        holidays, trading, no_night = (self.dates(data, key) for key in _DATES)
        if both := holidays & trading:
            raise self.wrong("trading_dates", f"{min(both)} is in holiday_dates, too; remove it from one of them")
        whole = self.whole(data)
        if whole is not None and (stray := [d for d in holidays | trading if not whole[0] <= d <= whole[1]]):
            raise self.wrong("start_date", f"the file's range does not hold its date {min(stray)}; correct one of them")
        return Overrides(
            self.name,
            holidays,
            trading,
            no_night,
            whole,
            tuple(self.hours(entry) for entry in self.tables(data, "hours")),
            tuple(self.products(entry) for entry in self.tables(data, "products")),
        )

    def whole(self, data: dict[str, Any]) -> tuple[date, date] | None:
        given = [key for key in ("start_date", "end_date") if key in data]
        if not given:
            return None
        if len(given) == 1:
            missing = "end_date" if given == ["start_date"] else "start_date"
            raise self.wrong(given[0], f"stands without {missing}; give both (the file is then the whole calendar)")
        first, last = self.date(data["start_date"], "start_date"), self.date(data["end_date"], "end_date")
        if last < first:
            raise self.wrong("end_date", f"{last} is before start_date {first}; exchange them")
        return first, last

    def hours(self, entry: dict[str, Any]) -> HoursChange:
        self.keys(entry, _TABLES["hours"], "hours.", all_of=True)
        ends = entry["night_ends"]
        if ends not in _NIGHT_ENDS:
            raise self.wrong("hours.night_ends", f"{ends!r} is none of {', '.join(_NIGHT_ENDS)}; write one of them")
        end = None if ends == "none" else minutes(ends)
        if end is not None and end < _NOON:
            end += _DAY_MINUTES
        return HoursChange(self.names(entry, "products", "hours."), self.date(entry["since"], "hours.since"), end)

    def products(self, entry: dict[str, Any]) -> NewProducts:
        self.keys(entry, _TABLES["products"], "products.", all_of=True)
        texts = [entry[key] for key in ("exchange", "like")]
        if not all(isinstance(text, str) and text for text in texts):
            raise self.wrong("products", 'exchange and like are texts; write exchange = "GFEX", like = "si"')
        return NewProducts(self.names(entry, "codes", "products."), *texts)

    def tables(self, data: dict[str, Any], key: str) -> list[dict[str, Any]]:
        value = data.get(key, [])
        if not (isinstance(value, list) and all(isinstance(entry, dict) for entry in value)):
            raise self.wrong(key, f"is not a list of tables; write [[{key}]]")
        return value

    def names(self, entry: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
        value = entry[key]
        if not (isinstance(value, list) and value and all(isinstance(name, str) and name for name in value)):
            raise self.wrong(where + key, f'is not a list of product codes; write {key} = ["rb", "hc"]')
        return tuple(value)

    def dates(self, data: dict[str, Any], key: str) -> frozenset[date]:
        value = data.get(key, [])
        if not isinstance(value, list):
            raise self.wrong(key, f"is not a list; write {key} = [2027-01-01]")
        return frozenset(self.date(day, key) for day in value)

    def date(self, value: object, key: str) -> date:
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        raise self.wrong(key, f"{value!r} is not a date; write it without quotes, as 2027-01-01")

    def keys(self, data: dict[str, Any], known: tuple[str, ...], where: str, *, all_of: bool = False) -> None:
        for key in data:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
                raise self.wrong(where + key, f"no such key; {hint}")
        if all_of and (missing := [key for key in known if key not in data]):
            raise self.wrong(where + missing[0], "is missing; add it")

    def wrong(self, key: str, what: str) -> CalendarError:
        return CalendarError(f"override file {self.name}, {key}: {what}", key=key)
