"""CTP's records as ticks; the rules are those of :mod:`gateway.thost.parse`."""

from __future__ import annotations

import struct
from typing import ClassVar, Final

from gateway.thost import parse

RECORD: Final = struct.Struct("<9s31x9s31x7di4x6d16x9s3xi" + "di4xdi4x" * 5 + "d90s102x")
"""The fields that a tick needs out of :data:`gateway_ctp.layout.DEPTH`; ActionDay and InstrumentID are one text."""
_ACTION_DAY: Final = 9
"""Bytes of ActionDay, before InstrumentID."""


class Parser(parse.Parser):
    """Decodes CTP's records."""

    record: ClassVar[struct.Struct] = RECORD

    def split(self, first_text: bytes, last_text: bytes) -> tuple[bytes, bytes, bytes]:
        """TradingDay lies alone; ActionDay and InstrumentID side by side."""
        return first_text, last_text[:_ACTION_DAY], last_text[_ACTION_DAY:]
