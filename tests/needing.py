"""What tests need of the machine: without it they are skipped, or fail where ``FEEDGATE_REQUIRE_TOOLS`` is set."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

RECORDED = Path(__file__).resolve().parents[2] / "shared" / "data"
"""The recorded data, beside the repository."""


def without(reason: str) -> NoReturn:
    """End the test: ``reason`` says what is missing and how it is installed."""
    if os.environ.get("FEEDGATE_REQUIRE_TOOLS"):
        pytest.fail(reason)
    pytest.skip(reason)


def program(name: str, *, package: str = "") -> str:
    """The path of a command; ``package`` is the Debian package that brings it, when it has another name."""
    return shutil.which(name) or without(f"{name} is not installed: apt-get install {package or name}")


def modules(*names: str, install: str) -> None:
    """Python packages, by the names under which they are imported."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        without(f"{', '.join(missing)} not installed: {install}")


def plugin() -> None:
    """The CTP plugin."""
    modules("gateway_ctp", install="pip install -e plugins/ctp")


def recorded() -> Path:
    """The directory of the recorded data."""
    return RECORDED if RECORDED.is_dir() else without(f"the recorded data are missing: {RECORDED}")
