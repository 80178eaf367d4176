"""The vendor's locale for native lines, built once a test run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def locale_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Skips, or fails where every tool must be there, when native lines cannot run."""
    from tests.faults.__main__ import tts_missing

    if missing := tts_missing():
        if os.environ.get("FEEDGATE_REQUIRE_TOOLS"):
            pytest.fail(missing)
        pytest.skip(missing)
    from gateway_ctp import locales

    directory = tmp_path_factory.mktemp("locale")
    locales.build(directory)
    return directory
