from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import needing


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
    return needing.recorded()
