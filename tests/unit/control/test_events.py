from __future__ import annotations

import typing

import msgspec
import pytest

from gateway.control.events import (
    ControlEvent,
    GapClosed,
    LedgerHealth,
    LineStateChanged,
    LineSuspect,
    LineTrusted,
    LineWithdrawn,
    PhaseChanged,
    event_subject,
    gap_part,
    judged,
    ledger_health,
)
from gateway.flow.arbiter import ArbiterEvent
from gateway.flow.gaps import Gap, StoreHealth
from gateway.model import LineId

GAP = Gap(
    id="1-2",
    feed="ctp",
    instrument="SHFE.rb2510",
    trading_day=20250829,
    session="day",
    outage_ns=5,
    start_ns=10,
    end_ns=30,
    open_ns=20,
    lost_volume=7,
)


def test_every_kind_has_a_name_of_its_own_and_says_it():
    kinds = [struct.__struct_config__.tag for struct in typing.get_args(ControlEvent)]
    assert len(kinds) == len(set(kinds))
    assert set(kinds) == {
        *("line_silent", "line_speaks", "contract_stalled", "contract_back", "switch", "unplaced"),
        *("line_state", "line_suspect", "line_trusted", "line_withdrawn"),
        *("gap_opened", "gap_closed", "gap_measured", "ledger", "phase"),
    }


def test_a_reader_gets_back_what_was_told_whatever_it_was():
    closed = GapClosed(
        feed="ctp", at_ns=40, outage_ns=5, session="day", trading_day=20250829, reason="lost",
        lines={"ctp:primary": "lost"}, count=1, gaps=(gap_part(GAP),), ending="covered",
    )  # fmt: skip
    phase = PhaseChanged(feed="ctp", at_ns=1, trading_day=20250829, products=("rb",), was=None, now="open")
    for event in (closed, phase, ledger_health(StoreHealth(degraded=True, reason="full", waiting=3, lost=1), 9)):
        assert msgspec.json.decode(msgspec.json.encode(event), type=ControlEvent) == event


@pytest.mark.parametrize(
    ("kind", "struct"), [("suspect", LineSuspect), ("trusted", LineTrusted), ("withdrawn", LineWithdrawn)]
)
def test_what_the_arbiter_says_of_a_line_is_told_under_the_name_that_observers_know(kind, struct):
    said = ArbiterEvent(kind=kind, line=LineId("ctp", "primary"), reason="limits", contract="SHFE.rb2510")
    event = judged(said, 5)
    assert event == struct(feed="ctp", at_ns=5, line="ctp:primary", reason="limits", contract="SHFE.rb2510")
    assert event_subject(event) == f"md.event.line_{kind}.ctp"


def test_the_subject_names_the_kind_and_the_feed_with_what_a_subject_cannot_hold_encoded():
    event = LineStateChanged(feed="c.t*p", at_ns=1, line="c.t*p:a", state="lost", was="streaming", reason="")
    assert event_subject(event) == "md.event.line_state.c%2Et%2Ap"


def test_the_ledgers_health_belongs_to_no_feed_and_its_subject_says_all():
    event = ledger_health(StoreHealth(degraded=True, reason="disk full", waiting=3, lost=1), 9)
    assert event == LedgerHealth(at_ns=9, degraded=True, reason="disk full", waiting=3, lost=1)
    assert event_subject(event) == "md.event.ledger.all"
    assert msgspec.json.decode(msgspec.json.encode(event))["feed"] is None


@pytest.mark.parametrize(("lost", "skipped", "exact"), [(7, 0, True), (7, 2, False), (None, 0, None), (None, 2, None)])
def test_a_lost_volume_is_exact_when_no_tick_was_skipped_and_neither_when_there_is_none(lost, skipped, exact):
    part = gap_part(msgspec.structs.replace(GAP, lost_volume=lost, skipped=skipped))
    assert (part.lost_volume, part.exact) == (lost, exact)
    assert (part.id, part.instrument, part.start_ns, part.end_ns, part.open_ns) == ("1-2", "SHFE.rb2510", 10, 30, 20)
