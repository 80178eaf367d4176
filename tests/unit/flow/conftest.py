from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--examples", type=int, default=None, help="examples per property (give it together with tests/unit/flow)"
    )


def pytest_configure(config: pytest.Config) -> None:
    examples = config.getoption("--examples", None)
    if examples:
        settings.register_profile(
            "examples", max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck)
        )
        settings.load_profile("examples")


@pytest.fixture(scope="session")
def recorded() -> Path:
    if not DATA.is_dir():
        if os.environ.get("FEEDGATE_REQUIRE_TOOLS"):
            pytest.fail(f"the recorded data are missing: {DATA}")
        pytest.skip(f"needs the recorded data in {DATA}")
    return DATA
