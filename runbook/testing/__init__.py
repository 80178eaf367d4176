"""The kit of those who write runbook actions: what every action promises, to subclass. See ``docs/conformance.md``.

Opt-in, and apart from ``gateway.testing``, because the gateway knows no runbook.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runbook.testing.action_cards import ActionCase
    from runbook.testing.action_contract import ActionContract

_HOMES = {"ActionCase": "runbook.testing.action_cards", "ActionContract": "runbook.testing.action_contract"}

__all__ = ["ActionCase", "ActionContract"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'runbook.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
