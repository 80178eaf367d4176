"""The process's own environment, for children. Secrets never travel through what is *added* here."""

from __future__ import annotations

import os


def process_environment() -> dict[str, str]:
    """A copy of the variables that this process was started with."""
    return dict(os.environ)
