"""SOPT's records as ticks.

The rules are those of :mod:`gateway.thost.parse`, and these:

* There is no night session: trading day and calendar day are the same, and the time stamp is taken as it is sent.
* The exchange of a stock option can be told from its number, so one that carries none is known all the same.
* ``CircuitRefPrice`` is not in a tick: it changes a few times a day, and is told beside the ticks (decision 0010).
* ``SendingTime`` is left out, and ``BigVolume`` is not needed: no option trades 2³¹ contracts a day.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final

from gateway.model import Instrument, Tick
from gateway.thost import parse
from gateway_sopt.exchanges import SPELLINGS

RECORD: Final = struct.Struct("<40s9s31x7di4x6d16x9s3xi" + "di4xdi4x" * 5 + "d9s39x")
"""The fields that a tick needs out of :data:`gateway_sopt.layout.DEPTH`; TradingDay and InstrumentID are one text."""
_TRADING_DAY: Final = 9
"""Bytes of TradingDay, before InstrumentID."""
_CODE: Final = slice(0, 40)
"""TradingDay and InstrumentID: a new day is told anew."""
_EXCHANGE: Final = slice(40, 49)
_CIRCUIT: Final = slice(408, 416)
_PRICE: Final = struct.Struct("<d")
_LARGEST: Final = 1e150
_MOST_CODES: Final = 65_536
_STOCK_OPTION: Final = re.compile(r"[19]\d{7}")


class Parser(parse.Parser):
    """Decodes SOPT's records."""

    record: ClassVar[struct.Struct] = RECORD
    nights: ClassVar[bool] = False
    spellings: ClassVar[Mapping[str, str]] = SPELLINGS

    def __init__(self, exchanges: Mapping[str, str] | None = None) -> None:
        super().__init__(exchanges)
        self._circuit: dict[bytes, bytes] = {}
        self._changed: dict[Instrument, float] = {}

    def parse(self, records: Sequence[tuple[int, bytes]], reject: Callable[[str], None]) -> list[Tick]:
        """As for the whole family; reference prices that changed are kept for :meth:`references`."""
        circuit = self._circuit
        for _recv_ns, record in records:
            if circuit.get(record[_CODE]) != record[_CIRCUIT]:
                self._note(record)
        return super().parse(records, reject)

    def references(self) -> list[tuple[Instrument, float]]:
        """What changed since the last call."""
        changed, self._changed = self._changed, {}
        return list(changed.items())

    def _note(self, record: bytes) -> None:
        if len(record) != RECORD.size:
            return
        if len(self._circuit) >= _MOST_CODES:
            self._circuit.clear()
        self._circuit[record[_CODE]] = record[_CIRCUIT]
        (price,) = _PRICE.unpack(record[_CIRCUIT])
        if not 0.0 < price < _LARGEST:
            return
        try:
            exchange, code = self._name(record[_EXCHANGE], record[_CODE][_TRADING_DAY:])
        except parse.Rejected:  # the tick's own verdict, told by its parsing
            return
        self._changed[Instrument(exchange, code)] = price

    def split(self, first_text: bytes, last_text: bytes) -> tuple[bytes, bytes, bytes]:
        """TradingDay and InstrumentID lie side by side; ActionDay alone."""
        return first_text[:_TRADING_DAY], last_text, first_text[_TRADING_DAY:]

    def exchange_of(self, code: str) -> str | None:
        """As in every counter; then by the number of a stock option: ``1…`` is Shanghai, ``9…`` Shenzhen."""
        known = super().exchange_of(code)
        if known is None and _STOCK_OPTION.fullmatch(code):
            return "SSE" if code[0] == "1" else "SZSE"
        return known
