"""The vendor's locale for native lines, built once a test run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import needing


@pytest.fixture(scope="session")
def locale_dir(request: pytest.FixtureRequest) -> Path:
    """The vendor's locale; skips, or fails where every tool must be there, when native lines cannot run."""
    from tests.faults.__main__ import tts_missing

    if missing := tts_missing():
        needing.without(missing)
    directory: Path = request.getfixturevalue("built_locale")
    return directory
