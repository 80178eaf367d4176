"""When the market trades: trading days, product sessions, nights and breaks. See docs/sessions.md."""

from gateway.calendar.calendar import Calendar, Change
from gateway.calendar.days import TradingDays
from gateway.calendar.errors import CalendarError, UnknownProductError
from gateway.calendar.hours import Phase, Product, WindowKind
from gateway.calendar.instruments import InstrumentPhases
from gateway.calendar.load import load_calendar
from gateway.calendar.machine import PhaseEvent, PhaseMachine
from gateway.calendar.products import product_of
from gateway.calendar.sessions import Session, Window

__all__ = [
    "Calendar",
    "CalendarError",
    "Change",
    "InstrumentPhases",
    "Phase",
    "PhaseEvent",
    "PhaseMachine",
    "Product",
    "Session",
    "TradingDays",
    "UnknownProductError",
    "Window",
    "WindowKind",
    "load_calendar",
    "product_of",
]
