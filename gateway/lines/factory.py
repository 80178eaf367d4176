"""How a line's process finds the factory of its source: by ``module:qualname``."""

from __future__ import annotations

import importlib
from typing import Any, Final, cast

from gateway.errors import LineError
from gateway.ports import FeedFactory

BROKEN: Final = (Exception, SystemExit)
"""What a plugin's import may raise without stopping us; Ctrl-C is not theirs."""


def import_factory(path: str) -> FeedFactory:
    """The object at ``path``. Raises LineError for what cannot be imported or called."""
    module, _, qualname = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
    except BROKEN as error:
        raise LineError(f"cannot import {path!r}: {type(error).__name__}: {error}", factory=path) from error
    if not callable(found):
        raise LineError(f"{path!r} is of type {type(found).__name__}, not callable", factory=path)
    return cast("FeedFactory", found)
