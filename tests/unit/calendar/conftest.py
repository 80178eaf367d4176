from __future__ import annotations

from pathlib import Path

import pytest

from gateway.calendar import Calendar, load_calendar
from tests import needing


@pytest.fixture(scope="session")
def calendar() -> Calendar:
    return load_calendar()


@pytest.fixture(scope="session")
def data() -> Path:
    return needing.recorded()
