"""Each fault once, briefly: a row that is not as expected names its fault. The whole table: ``make faults``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.__main__ import source_of
from tests.faults.catalogue import faults
from tests.faults.course import measure
from tests.faults.fault import Fault

FAULTS = faults(short=True)


def cases(source: str) -> list[object]:
    return [pytest.param(fault, id=fault.name) for fault in FAULTS if fault.short == source]


@pytest.mark.parametrize("fault", cases("sim"))
async def test_sim_lines_meet_a_fault_as_expected(fault: Fault, tmp_path: Path) -> None:
    row = await measure(fault, lambda: source_of(fault, "sim", tmp_path), short=True)
    assert row.ok, row


@pytest.mark.native
@pytest.mark.parametrize("fault", cases("tts"))
async def test_native_lines_meet_a_fault_as_expected(fault: Fault, locale_dir: Path) -> None:
    row = await measure(fault, lambda: source_of(fault, "tts", locale_dir), short=True)
    assert row.ok, row
