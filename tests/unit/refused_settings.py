"""What is said about settings that are refused, for the tests of the gateway's settings and of the runbook's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from gateway.errors import SettingsError

SECRET = "hunter2-Zq"

Load = Callable[[Path | None, tuple[Path, ...], Mapping[str, str]], object]


def findings_of(
    load: Load, environ: Mapping[str, str] | None, config: Path | None, env_files: tuple[Path, ...]
) -> list[str]:
    """Each finding. None may hold SECRET, nor may anything that is chained to the error."""
    with pytest.raises(SettingsError) as caught:
        load(config, env_files, environ or {})
    assert caught.value.exit_code == 11
    assert caught.value.__context__ is None  # nothing chained that could hold a value
    assert SECRET not in str(caught.value)
    return caught.value.findings


def only(found: list[str]) -> str:
    assert len(found) == 1, found
    return found[0]
