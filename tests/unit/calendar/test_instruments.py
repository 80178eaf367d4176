from __future__ import annotations

from datetime import datetime

import pytest

from gateway.calendar import Calendar, InstrumentPhases, UnknownProductError
from gateway.control.switching import Phases as SwitchingPhases
from gateway.flow.phases import Phases as LedgerPhases
from gateway.model import Instrument
from tests.unit.calendar.moments import at

GOLD, STEEL, INDEX = Instrument("SHFE", "au2612"), Instrument("SHFE", "rb2701"), Instrument("CFFEX", "IF2612")
NEW = Instrument("GFEX", "xx2701")


def ns(text: str) -> int:
    moment: datetime = at(text)
    return round(moment.timestamp()) * 1_000_000_000


def test_it_is_what_the_ledger_and_the_failover_ask_for(calendar: Calendar) -> None:
    ledger: LedgerPhases = InstrumentPhases(calendar)
    switching: SwitchingPhases = InstrumentPhases(calendar, unknown="closed")
    assert ledger.phase(GOLD, ns("2026-11-21 01:30")) == "open"
    assert switching.phase(STEEL, ns("2026-11-21 01:30")) == "closed"


def test_the_last_nanosecond_before_a_boundary_is_before_it(calendar: Calendar) -> None:
    phases = InstrumentPhases(calendar)
    boundary = ns("2026-11-20 10:15")
    assert phases.phase(STEEL, boundary - 1) == "open"
    assert phases.phase(STEEL, boundary) == "break"


def test_a_product_without_a_table_is_an_error_or_what_was_asked_for(calendar: Calendar) -> None:
    with pytest.raises(UnknownProductError, match="xx"):
        InstrumentPhases(calendar).phase(NEW, ns("2026-11-20 10:00"))
    assert InstrumentPhases(calendar, unknown="closed").phase(NEW, ns("2026-11-20 10:00")) == "closed"


def test_contracts_without_a_table_are_told_by_phase_and_by_any_open(calendar: Calendar) -> None:
    told: list[tuple[Instrument, object]] = []
    phases = InstrumentPhases(
        calendar,
        unknown="closed",
        wanted=lambda: wanted,
        on_unknown=lambda instrument, error: told.append((instrument, error.fields["product"])),
    )
    wanted = frozenset({STEEL})
    assert phases.any_open(ns("2026-11-20 10:00"))
    assert phases.phase(STEEL, ns("2026-11-20 10:00")) == "open"
    assert not told
    assert phases.phase(NEW, ns("2026-11-20 10:00")) == "closed"
    assert told == [(NEW, "xx")]
    wanted = frozenset({STEEL, NEW})
    assert phases.any_open(ns("2026-11-20 10:00"))
    assert told == [(NEW, "xx")] * 2


def test_the_trading_day_and_the_markets_session(calendar: Calendar) -> None:
    phases = InstrumentPhases(calendar)
    assert phases.trading_day(GOLD, ns("2026-11-21 01:30")) == 20261123
    expected = {"2026-11-20 08:55": "day", "2026-11-20 12:30": "day", "2026-11-20 15:10": "day",
                "2026-11-20 15:15": "closed", "2026-11-20 20:55": "night", "2026-11-21 02:29": "night",
                "2026-11-21 02:30": "closed", "2026-09-30 21:30": "closed"}  # fmt: skip
    assert {moment: phases.session(ns(moment)) for moment in expected} == expected


def test_the_open_share_counts_contracts_by_the_hours_of_their_products(calendar: Calendar) -> None:
    wanted = [frozenset({STEEL, Instrument("SHFE", "hc2701"), GOLD, INDEX, NEW})]
    phases = InstrumentPhases(calendar, unknown="closed", wanted=lambda: wanted[0])
    expected = {"2026-11-20 10:00": 1, "2026-11-20 10:20": 0.25, "2026-11-20 12:00": 0, "2026-11-20 13:15": 0.25,
                "2026-11-20 20:56": 0, "2026-11-20 21:30": 0.75, "2026-11-21 01:30": 0.25, "2026-09-30 21:30": 0,
                "2026-11-22 10:00": 0}  # fmt: skip
    assert {moment: phases.open_share(ns(moment)) for moment in expected} == expected
    wanted[0] = frozenset({STEEL})
    assert phases.open_share(ns("2026-11-20 10:00")) == 1
    wanted[0] = frozenset()
    assert phases.open_share(ns("2026-11-20 10:00")) == 0


def test_any_open_follows_what_is_wanted(calendar: Calendar) -> None:
    wanted = [frozenset({STEEL, NEW})]
    phases = InstrumentPhases(calendar, wanted=lambda: wanted[0])
    assert phases.any_open(ns("2026-11-20 10:00"))
    assert not phases.any_open(ns("2026-11-20 13:15"))
    wanted[0] = frozenset({STEEL, INDEX})
    assert phases.any_open(ns("2026-11-20 13:15"))
    wanted[0] = frozenset({NEW})
    assert not phases.any_open(ns("2026-11-20 10:00"))
    assert not InstrumentPhases(calendar).any_open(ns("2026-11-20 10:00"))
