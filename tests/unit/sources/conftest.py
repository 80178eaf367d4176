from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.sources.recorder import Recorder

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture
def sink() -> Recorder:
    return Recorder()


@pytest.fixture(scope="session")
def data() -> Path:
    if not DATA.is_dir():
        if os.environ.get("FEEDGATE_REQUIRE_TOOLS"):
            pytest.fail(f"the recorded data are missing: {DATA}")
        pytest.skip(f"needs the recorded data in {DATA}")
    return DATA
