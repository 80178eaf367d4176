from __future__ import annotations

from pathlib import Path

import pytest

from tests import needing
from tests.unit.sources.recorder import Recorder


@pytest.fixture
def sink() -> Recorder:
    return Recorder()


@pytest.fixture(scope="session")
def data() -> Path:
    return needing.recorded()
