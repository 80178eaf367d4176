"""How counters and lists spell the exchanges, and how Feedgate does."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SPELLINGS: Final[Mapping[str, str]] = MappingProxyType(
    {"SH": "SSE", "XSHG": "SSE", "SHSE": "SSE", "SZ": "SZSE", "XSHE": "SZSE", "CFE": "CFFEX", "CCFX": "CFFEX"}
)
"""Fixed. ``SSE``, ``SZSE`` and ``CFFEX`` are the counter's own spelling and ours; the others come from data vendors."""
