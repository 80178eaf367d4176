"""The process's own environment, for children. Secrets never travel through what is *added* here."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

_SECRET: Final = re.compile(r"PASSW(OR)?D|SECRET|TOKEN|AUTH_?CODE|API_?KEY|CREDENTIAL", re.IGNORECASE)


PROFILE: Final = "FEEDGATE_PROFILE"
"""Says what the whole process is for; children are given it so that their records agree."""


def process_environment() -> dict[str, str]:
    """A copy of the variables that this process was started with."""
    return dict(os.environ)


def cache_home() -> Path | None:
    """The directory for what can be computed again: ``feedgate`` in ``XDG_CACHE_HOME``, else in ``~/.cache``.

    As the XDG base directory specification has it: a relative ``XDG_CACHE_HOME`` counts as unset. None for a user
    without a home.
    """
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (named if named.is_absolute() else Path.home() / ".cache") / "feedgate"
    except RuntimeError:
        return None


def child_environment() -> dict[str, str]:
    """The same without variables whose names say that they are secret: vendor code and core files need none of them.

    A line gets its own credentials over its socket.
    """
    return {name: value for name, value in process_environment().items() if not _SECRET.search(name)}
