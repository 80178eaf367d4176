"""Recorded days as arrivals, and the hours of their products: a small table, so that the watchdog is tested alone."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from gateway.control.switching import Phase
from gateway.model import Instrument
from gateway.sources.recordings import Recording

NS = 10**9
FILES = (
    "ctp_multi_15c_TD20170414.csv.gz",
    "ctp_raw_ru1901_20181012.csv.gz",
    "ctp_raw_AP010_20200803.csv.gz",
    "ctp_raw_AP101_20200803.csv.gz",
    "cffex_IF2101_20210104.csv.gz",
)

_COMMODITY = ("09:00-10:15", "10:30-11:30", "13:30-15:00")
_HOURS: dict[str, tuple[str, ...]] = {
    "IF": ("09:30-11:30", "13:00-15:00"),
    "TF": ("09:15-11:30", "13:00-15:15"),
}
_NIGHT = {
    # night ends as of the recorded days (exchanges' notices: SHFE metals 01:00, rubber 23:00, CZCE 23:30 until 2019-12)
    "sn": "21:00-25:00", "ru": "21:00-23:00", "CF": "21:00-23:30", "OI": "21:00-23:30", "ZC": "21:00-23:30",
}  # fmt: skip


def _seconds(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 3600 + int(minute) * 60


class TableHours:
    """Phases of the recorded products by time of day, without auctions and holidays."""

    def __init__(self) -> None:
        self._spans: dict[str, tuple[tuple[int, int], ...]] = {}

    def spans(self, code: str) -> tuple[tuple[int, int], ...]:
        product = re.match("[A-Za-z]*", code)[0]  # type: ignore[index]  # matches always
        if product not in self._spans:
            texts = _HOURS.get("IF" if product in ("IF", "IC", "IH") else product, _COMMODITY)
            night = (_NIGHT[product],) if product in _NIGHT else ()
            pairs = [text.split("-") for text in (*texts, *night)]
            self._spans[product] = tuple((_seconds(begin), _seconds(end)) for begin, end in pairs)
        return self._spans[product]

    def phase(self, instrument: Instrument, moment_ns: int) -> Phase:
        seconds, days = (moment_ns // NS + 8 * 3600) % 86400, (moment_ns // NS + 8 * 3600) // 86400
        if (days + 3) % 7 >= 5 and not ((days + 3) % 7 == 5 and seconds < 10800):
            return "closed"  # a weekend, but for the small hours of Friday's night
        spans = self.spans(instrument.code)
        for begin, end in spans:
            if begin <= seconds < end or begin <= seconds + 86400 < end:
                return "open"
        day = [span for span in spans if span[0] < 18 * 3600]
        return "break" if day[0][0] <= seconds < day[-1][1] else "closed"

    def any_open(self, moment_ns: int) -> bool:
        return any(
            self.phase(Instrument("X", code), moment_ns) == "open"
            for code in ("sn1", "ru1", "CF1", "IF1", "TF1", "AP1")
        )


def arrivals(path: Path) -> list[tuple[int, Instrument]]:
    """``(moment, contract)`` in order of time."""
    found = []
    for _, parser, row in Recording(path).rows():
        try:
            tick = parser.tick(row)
        except (ValueError, IndexError):
            continue
        found.append((tick.exchange_ns, tick.instrument))
    found.sort()
    return found


def pieces(moments: list[tuple[int, Instrument]]) -> Iterator[list[tuple[int, Instrument]]]:
    """Cut where nothing came for half an hour, so that nobody has to walk through the night."""
    start = 0
    for index in range(1, len(moments)):
        if moments[index][0] - moments[index - 1][0] > 1800 * NS:
            yield moments[start:index]
            start = index
    yield moments[start:]


def quote_log(path: Path) -> Iterator[tuple[int, str]]:
    """``(moment, what)`` of a recorder's log: ``tick`` for a line that tells progress, else the connection's news."""
    with gzip.open(path, "rt", errors="replace") as text:
        for line in text:
            found = re.match(r"\[(\d{4})\.(\d\d)\.(\d\d) (\d\d:\d\d:\d\d) - ", line)
            if not found:
                continue
            moment = datetime.fromisoformat(f"{found[1]}-{found[2]}-{found[3]}T{found[4]}+08:00")
            what = "tick" if "ticks received" in line else ""
            if "server disconnected" in line:
                what = "lost " + line.rstrip().rpartition(" ")[2]
            elif "server connected" in line:
                what = "up"
            if what:
                yield int(moment.timestamp()) * NS, what
