from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.calendar import Calendar, load_calendar

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture(scope="session")
def calendar() -> Calendar:
    return load_calendar()


@pytest.fixture(scope="session")
def data() -> Path:
    if not DATA.is_dir():
        if os.environ.get("FEEDGATE_REQUIRE_TOOLS"):
            pytest.fail(f"the recorded data are missing: {DATA}")
        pytest.skip(f"needs the recorded data in {DATA}")
    return DATA
