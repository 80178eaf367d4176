"""A stand-in for a library of the family: its SWIG names in pure Python, with a small synthetic market behind it.

No broker, no network, no native code, so it shows everything but what only the real library can: that is told apart by
the option ``native_module = "standin"``, and by the front's address, whose host says how the counter behaves
(:mod:`gateway.thost.standin.front`).
"""

from __future__ import annotations

from typing import Final

STANDIN: Final = "standin"
"""The value of ``native_module`` that chooses it, in every plugin of the family."""
