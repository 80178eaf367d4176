"""The catalogue kind ``file``: contracts from CSV or JSON, plain or gzipped, UTF-8 or GB18030.

CSV layouts, recognised by the header: our own (``exchange,code`` and any of ``name,product,kind,multiplier,
price_tick,expire_date``), CTP instrument queries (``INSTRUMENTID,EXCHANGEID,…``), Shanghai option lists
(``option_code,option_name,…``). JSON: ``{exchange: {code: {…}}}``, or a list of objects with our own names. A row that
does not fit is an error with file and line, because a catalogue with holes leaves contracts without a subscription.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from gateway.errors import CatalogueError, SettingsError
from gateway.hookspecs import CatalogueKind, hookimpl
from gateway.model import Account, Contract, Instrument
from gateway.sources.option_values import OptionReader
from gateway.sources.products import kind_of, product_of

OPTIONS: Final = frozenset({"path", "encoding"})
"""``path`` (needed) and ``encoding`` (``auto``, ``utf-8`` or ``gb18030``)."""

_ENCODINGS: Final = ("auto", "utf-8", "gb18030")
_NOTHING: Final = frozenset({"", "null", "NULL", "None", "N/A"})
_KINDS: Final = ("future", "option", "combination", "other")
_CLASSES: Final = {"1": "future", "2": "option", "3": "combination", "6": "option"}
"""CTP's ProductClass: 1 futures, 2 options, 3 combinations, 6 spot options (CFFEX index options)."""
_MARKETS: Final = {"SH": "SSE", "SZ": "SZSE"}

_DEAREST: Final = 1e9
"""No price tick is that large."""

Row = Mapping[str, Any]


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    text = "" if value is None else str(value).strip()
    return "" if text in _NOTHING else text


def _needed(row: Row, name: str) -> str:
    text = _text(row, name)
    if not text:
        raise ValueError(f"column {name} is empty")
    return text


def _number(text: str) -> float:
    """The number, or a number that fits nowhere."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _whole(row: Row, name: str) -> int | None:
    text = _text(row, name)
    if not text:
        return None
    number = _number(text)
    if not number.is_integer() or number <= 0:
        raise ValueError(f"{name} {text!r} is not a whole number above 0")
    return int(number)


def _price(row: Row, name: str) -> float | None:
    text = _text(row, name)
    if not text:
        return None
    price = _number(text)
    if not 0 < price < _DEAREST:
        raise ValueError(f"{name} {text!r} is not a price above 0")
    return price


def _date(row: Row, name: str) -> int | None:
    text = _text(row, name)
    if not text:
        return None
    digits = text[:10].replace("-", "")
    if len(digits) != 8 or not digits.isdecimal() or not ("0101" <= digits[4:] <= "1231"):  # noqa: PLR2004 - YYYYMMDD
        raise ValueError(f"{name} {text!r} is not a date YYYYMMDD")
    return int(digits)


def _own(row: Row) -> Contract:
    code = _needed(row, "code")
    kind = _text(row, "kind") or kind_of(code)
    if kind not in _KINDS:
        raise ValueError(f"kind {kind!r} is not one of {', '.join(_KINDS)}")
    return Contract(
        instrument=Instrument(_needed(row, "exchange"), code),
        name=_text(row, "name"),
        product=_text(row, "product") or product_of(code),
        kind=kind,
        multiplier=_whole(row, "multiplier"),
        price_tick=_price(row, "price_tick"),
        expire_date=_date(row, "expire_date"),
    )


def _ctp(row: Row) -> Contract:
    return Contract(
        instrument=Instrument(_needed(row, "EXCHANGEID"), _needed(row, "INSTRUMENTID")),
        name=_text(row, "INSTRUMENTNAME"),
        product=_text(row, "PRODUCTID"),
        kind=_CLASSES.get(_text(row, "PRODUCTCLASS"), "other"),
        multiplier=_whole(row, "VOLUMEMULTIPLE"),
        price_tick=_price(row, "PRICETICK"),
        expire_date=_date(row, "EXPIREDATE"),
    )


def _stock_option(row: Row) -> Contract:
    code, _, market = _needed(row, "option_code").partition(".")
    if market not in _MARKETS:
        raise ValueError(f"option_code {row['option_code']!r} does not end in one of .{', .'.join(_MARKETS)}")
    return Contract(
        instrument=Instrument(_MARKETS[market], code),
        name=_text(row, "option_name"),
        product=_text(row, "us_code").partition(".")[0],
        kind="option",
        multiplier=_whole(row, "multiplier"),
        expire_date=_date(row, "last_tradedate"),
    )


_LAYOUTS: Final[tuple[tuple[tuple[str, ...], Callable[[Row], Contract]], ...]] = (
    (("exchange", "code"), _own),
    (("INSTRUMENTID", "EXCHANGEID"), _ctp),
    (("option_code", "option_name"), _stock_option),
)


def read_contracts(path: Path, encoding: str = "auto") -> list[Contract]:
    """All contracts of a file, in its order. Blocking. Raises CatalogueError naming the file and the line."""
    text = _read(path, encoding)
    json_like = text.lstrip()[:1] in ("{", "[")
    found: dict[Instrument, Contract] = {}
    for place, read in _json_rows(path, text) if json_like else _csv_rows(path, text):
        try:
            contract = read()
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise CatalogueError(f"{path} {place}: {error}; mend the row or take it out", path=str(path)) from None
        if contract.instrument in found:
            raise CatalogueError(f"{path} {place}: {contract.instrument} is there twice; take one out", path=str(path))
        found[contract.instrument] = contract
    if not found:
        raise CatalogueError(f"{path} lists no contract; give a file with at least one", path=str(path))
    return list(found.values())


def _read(path: Path, encoding: str) -> str:
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise CatalogueError(f"{path} cannot be read: {error}; check option path", path=str(path)) from None
    # UTF-8 first: text in GB18030 is next to never valid UTF-8, the reverse is common.
    for name in ("utf-8-sig", "gb18030") if encoding == "auto" else (encoding.replace("utf-8", "utf-8-sig"),):
        try:
            return data.decode(name)
        except UnicodeDecodeError:
            continue
    wanted = "UTF-8 nor GB18030" if encoding == "auto" else encoding
    raise CatalogueError(f"{path} is not text in {wanted}; convert it or set option encoding", path=str(path))


def _csv_rows(path: Path, text: str) -> Iterator[tuple[str, Callable[[], Contract]]]:
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(lines, [])
        layout = next((parse for needed, parse in _LAYOUTS if set(needed) <= set(header)), None)
        if layout is None:
            needs = "; or ".join(", ".join(needed) for needed, _ in _LAYOUTS)
            raise CatalogueError(
                f"{path} is no contract list: its columns are {', '.join(header) or 'none'}; needed are {needs}",
                path=str(path),
            )
        for values in lines:
            if values:
                yield f"line {lines.line_num}", _bound(layout, header, values)
    except csv.Error as error:
        raise CatalogueError(f"{path} line {lines.line_num}: {error}; mend the row", path=str(path)) from None


def _bound(layout: Callable[[Row], Contract], header: Sequence[str], values: Sequence[str]) -> Callable[[], Contract]:
    def read() -> Contract:
        if len(values) != len(header):
            raise ValueError(f"{len(values)} columns where the header has {len(header)}")
        return layout(dict(zip(header, values, strict=True)))

    return read


def _json_rows(path: Path, text: str) -> Iterator[tuple[str, Callable[[], Contract]]]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise CatalogueError(f"{path} is not JSON: {error}; mend it", path=str(path)) from None
    if isinstance(data, list):
        for number, row in enumerate(data, 1):
            yield f"entry {number}", partial(_own, row)
        return
    for exchange, contracts in data.items():
        if not isinstance(contracts, dict):
            raise CatalogueError(
                f"{path} {exchange}: contracts must be an object by code, like {{exchange: {{code: {{…}}}}}}",
                path=str(path),
            )
        for code, row in contracts.items():
            yield f"{exchange}.{code}", partial(_nested, exchange, code, row)


def _nested(exchange: str, code: str, row: Row) -> Contract:
    return _own({**row, "exchange": row.get("exchg", exchange), "code": row.get("code", code)})


class FileCatalogue:
    """The contracts of a file, read anew on every call."""

    def __init__(self, path: Path, encoding: str = "auto") -> None:
        self._path = path
        self._encoding = encoding

    async def contracts(self) -> Sequence[Contract]:
        """Reads in a thread. Raises CatalogueError."""
        return await asyncio.to_thread(read_contracts, self._path, self._encoding)


def build_catalogue(_account: Account | None, options: Mapping[str, Any]) -> FileCatalogue:
    """The catalogue factory. Raises SettingsError when the options are wrong; the file is read later."""
    reader = OptionReader(options, known=OPTIONS)
    path, encoding = reader.text("path"), reader.text("encoding", "auto").lower()
    if not path:
        reader.refuse("path", "name a contract list (CSV or JSON, also gzipped)")
    if encoding not in _ENCODINGS:
        reader.refuse("encoding", f"use one of {', '.join(_ENCODINGS)}")
    if reader.findings:
        raise SettingsError(reader.findings)
    return FileCatalogue(Path(path), encoding)


@hookimpl
def gateway_catalogues() -> Sequence[CatalogueKind]:
    """The catalogue kind ``file``."""
    return [CatalogueKind(name="file", build=build_catalogue, options=OPTIONS)]
