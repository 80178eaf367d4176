"""All faults, in the order of the table."""

from __future__ import annotations

from tests.faults import bus_faults, cold_faults, core_faults, front_faults, process_faults, tick_faults
from tests.faults.fault import Fault


def faults(*, short: bool) -> tuple[Fault, ...]:
    """Names are unique."""
    return (
        *process_faults.FAULTS,
        *front_faults.FAULTS,
        *tick_faults.FAULTS,
        *bus_faults.faults(short=short),
        *core_faults.FAULTS,
        *cold_faults.FAULTS,
    )
