"""Recorded ticks as (instrument, trading day, moment as stamped), with the true date where the record's is wrong."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from gateway.model import SHANGHAI


class Row(NamedTuple):
    code: str
    trading_day: int
    stamped: datetime


def ctp_rows(path: Path) -> Iterator[Row]:
    """A file with CTP's column names."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        for row in csv.DictReader(lines):
            yield Row(
                row["InstrumentID"],
                int(row["TradingDay"]),
                moment(row["ActionDay"], row["UpdateTime"], int(row["UpdateMillisec"])),
            )


def cffex_rows(path: Path) -> Iterator[Row]:
    """The index future's file: HHMMSSmmm without leading zeros."""
    with gzip.open(path, "rt") as lines:
        for row in csv.DictReader(lines):
            time = row["action_time"].zfill(9)
            clock = f"{time[:2]}:{time[2:4]}:{time[4:6]}"
            yield Row(row["code"], int(row["trading_date"]), moment(row["action_date"], clock, int(time[6:])))


def moment(day: str, clock: str, millisecond: int) -> datetime:
    stamped = datetime.strptime(f"{day} {clock}", "%Y%m%d %H:%M:%S").replace(tzinfo=SHANGHAI)
    return stamped + timedelta(milliseconds=millisecond)
