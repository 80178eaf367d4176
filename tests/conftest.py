"""What all tests share: how hypothesis searches, that processes can be interrupted, and the vendor's locale."""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# no time limits in tests, and the same examples in every run: a red test is red again. `make fuzz` rolls the dice.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=5_000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell starts background jobs with SIGINT ignored, and every process below would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def built_locale(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The vendor's locale, built once a test run: it takes seconds, and every worker of a run has the same one."""
    from gateway.thost import locales

    base = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent
    directory = base / "locale-of-all"
    with (base / "locale-of-all.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not locales.is_built(directory):
            locales.build(directory)
    return directory
