"""``gateway sessions --date D [--product P]``: the sessions of a trading day, for reading or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from gateway.calendar import Calendar, CalendarError, Session, Window, WindowKind, load_calendar


def show_sessions(
    day: date,
    products: Sequence[str],
    out: TextIO,
    *,
    as_json: bool,
    overrides: Path | None = None,
    cache: Path | None = None,
    calendar: Calendar | None = None,
) -> int:
    """Print the sessions of the trading day ``day``; of all products when none is named.

    Options are named by their future (``m``), by CTP's family (``m_o``) or, where they have hours of their own, by
    their product (``IO``, ``SSE_O``). Returns 0, also for a day that does not trade, which is said. Raises
    CalendarError for a day that the calendar does not reach, UnknownProductError for a product without a table.
    """
    calendar = calendar or load_calendar(overrides, cache=cache)
    report = _report(calendar, day, products or tuple(calendar.products))
    if as_json:
        json.dump(report, out, indent=2)
        out.write("\n")
        return 0
    console = Console(file=out)
    console.print(_heading(report), highlight=False)
    if report["trading_day"]:
        console.print(_table(calendar, day, products or tuple(calendar.products)))
    return 0


def _report(calendar: Calendar, day: date, products: Sequence[str]) -> dict[str, Any]:
    trades = calendar.is_trading_day(day)
    return {
        "date": day.isoformat(),
        "trading_day": trades,
        "previous_trading_day": calendar.previous_trading_day(day).isoformat(),
        "next_trading_day": _or_unknown(calendar, day, "next"),
        "night_before": calendar.has_night(calendar.previous_trading_day(day)) if trades else None,
        "night_on_this_evening": _or_unknown(calendar, day, "night"),
        "groups": [
            {
                "products": list(group),
                "sessions": [_session(session) for session in calendar.sessions(group[0], day)],
            }
            for group in _groups(calendar, day, products)
        ],
    }


def _or_unknown(calendar: Calendar, day: date, what: str) -> str | bool | None:
    """On the calendar's last day what comes after it is not known: None."""
    try:
        return calendar.has_night(day) if what == "night" else calendar.next_trading_day(day).isoformat()
    except CalendarError:
        return None


def _groups(calendar: Calendar, day: date, products: Sequence[str]) -> list[list[str]]:
    """Products with equal sessions on this day."""
    groups: dict[tuple[Session, ...], list[str]] = {}
    for product in dict.fromkeys(products):
        groups.setdefault(calendar.sessions(product, day), []).append(product)
    return list(groups.values())


def _session(session: Session) -> dict[str, Any]:
    return {
        "kind": session.kind,
        "trading_day": session.trading_day,
        "ready_by": session.ready_by.isoformat(),
        "opens": session.opens.isoformat(),
        "closes": session.closes.isoformat(),
        "windows": [
            {"kind": window.kind.value, "opens": window.opens.isoformat(), "closes": window.closes.isoformat()}
            for window in session.windows
        ],
    }


def _heading(report: dict[str, Any]) -> str:
    day = date.fromisoformat(report["date"])
    after = report["next_trading_day"] or "not known (the calendar ends)"
    if not report["trading_day"]:
        return f"{day} ({day:%A}) does not trade. Trading day before: {report['previous_trading_day']}, after: {after}."
    evening = {True: "night sessions", False: "no night session", None: "not known (the calendar ends)"}
    before = "" if report["night_before"] else f" No night session on {report['previous_trading_day']}."
    return (
        f"Trading day {day} ({day:%A}).{before} On its evening: {evening[report['night_on_this_evening']]}; "
        f"next trading day: {after}. Shanghai time."
    )


def _table(calendar: Calendar, day: date, products: Sequence[str]) -> Table:
    """One row for each session of each group; breaks are the gaps between the hours shown."""
    table = Table(show_edge=False, title_justify="left")
    for column in ("products", "session", "ready by", "auction", "trading", "closes"):
        table.add_column(column)
    for group in _groups(calendar, day, products):
        for number, session in enumerate(calendar.sessions(group[0], day)):
            auctions = [window for window in session.windows if window.kind is WindowKind.AUCTION]
            trading = [window for window in session.windows if window.kind is WindowKind.CONTINUOUS]
            table.add_row(
                "" if number else " ".join(group),
                session.kind,
                f"{session.ready_by:%m-%d %H:%M}",
                "  ".join(map(_hours, auctions)) or "-",
                "  ".join(map(_hours, trading)),
                f"{session.closes:%m-%d %H:%M}",
            )
        table.add_section()
    return table


def _hours(window: Window) -> str:
    return f"{window.opens:%H:%M}-{window.closes:%H:%M}"
