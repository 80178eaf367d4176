"""The options of a sim feed and of the sim catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from gateway.errors import SettingsError
from gateway.sources.faults import Fault, read_faults
from gateway.sources.market import Grid, Market
from gateway.sources.option_values import OptionReader
from gateway.sources.timetable import AlwaysOpen, Timetable, WeekdaySessions
from gateway.sources.universe import EXCHANGES

OPTIONS: Final = frozenset(
    {
        "auction",
        "bursts",
        "connect_ms",
        "contracts",
        "exchanges",
        "faults",
        "login_ms",
        "quiet",
        "rate",
        "seed",
        "sessions",
        "trading_day",
    }
)
"""Names that the options table may use; :class:`SimOptions` says what they mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimOptions:
    """The options of a sim feed, checked."""

    contracts: int = 500
    rate: float = 5000.0
    """Ticks a second of the whole market; 0: as fast as the pipeline takes them, of what is subscribed."""
    seed: int = 1
    bursts: bool = False
    auction: bool = True
    """Send each contract's opening auction snapshot when it is subscribed, and when the auction is matched."""
    quiet: float = 0.2
    """Share of the options that never trade."""
    exchanges: tuple[str, ...] = EXCHANGES
    sessions: bool = False
    trading_day: int | None = None
    connect_ms: float = 0.0
    login_ms: float = 0.0
    faults: tuple[Fault, ...] = ()

    @classmethod
    def scan(cls, values: Mapping[str, Any]) -> tuple[SimOptions, list[str]]:
        """The options and what is wrong with them; with findings, the options hold defaults instead."""
        reader = OptionReader(values, known=OPTIONS)
        exchanges = reader.texts("exchanges", EXCHANGES)
        if not exchanges or not set(exchanges) <= set(EXCHANGES):
            reader.refuse("exchanges", f"use some of {', '.join(EXCHANGES)}")
            exchanges = EXCHANGES
        day = reader.integer("trading_day", 0, low=0, high=99991231)
        if day and not _is_date(day):
            reader.refuse("trading_day", "write a date as YYYYMMDD, or leave it out for the day of the clock")
        sessions = reader.flag("sessions", default=False)
        if day and sessions:
            reader.refuse("trading_day", "leave it out when sessions = true: the sessions decide the trading day")
        options = cls(
            contracts=reader.integer("contracts", 500, low=1, high=100_000),
            rate=reader.number("rate", 5000.0, low=0.0, high=1_000_000.0),
            seed=reader.integer("seed", 1, low=-(1 << 63), high=1 << 63),
            bursts=reader.flag("bursts", default=False),
            auction=reader.flag("auction", default=True),
            quiet=reader.number("quiet", 0.2, low=0.0, high=1.0),
            exchanges=exchanges,
            sessions=sessions,
            trading_day=day or None,
            connect_ms=reader.number("connect_ms", 0.0, low=0.0, high=600_000.0),
            login_ms=reader.number("login_ms", 0.0, low=0.0, high=600_000.0),
            faults=read_faults(reader),
        )
        if 0 < options.rate < 0.001:  # noqa: PLR2004 - the grid counts thousandths
            reader.refuse("rate", "write 0 (as fast as possible) or at least 0.001 ticks a second")
        return options, reader.findings

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> SimOptions:
        """Raises SettingsError with all findings."""
        options, findings = cls.scan(values)
        if findings:
            raise SettingsError(findings)
        return options

    @property
    def timetable(self) -> Timetable:
        """When this market is open."""
        return WeekdaySessions() if self.sessions else AlwaysOpen(self.trading_day)

    def market(self) -> Market:
        """Builds the market: some 15 ms per 1,000 contracts."""
        return Market(
            seed=self.seed,
            contracts=self.contracts,
            exchanges=self.exchanges,
            quiet=self.quiet,
            grid=Grid.of(self.rate),
        )


def _is_date(number: int) -> bool:
    try:
        datetime.strptime(f"{number:08d}", "%Y%m%d")  # noqa: DTZ007 - only asks whether there is such a day
    except ValueError:
        return False
    return True
