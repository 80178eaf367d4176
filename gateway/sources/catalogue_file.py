"""The catalogue kind ``file``: contracts from CSV or JSON, plain or gzipped, UTF-8 or GB18030.

CSV layouts, recognised by the header: our own (``exchange,code`` and any of ``name,product,kind,multiplier,
price_tick,expire_date,underlying,strike,option_type,trading_code,adjustments``), CTP instrument queries
(``INSTRUMENTID,EXCHANGEID,…``), Shanghai option lists (``option_code,option_name,…``). JSON:
``{exchange: {code: {…}}}``, or a list of objects with our own names. A row that does not fit is an error with file and
line, because a catalogue with holes leaves contracts without a subscription.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
import re
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
from gateway.sources.row_values import Row, count, date, needed, one_of, price, text, whole
from gateway.thost.options import adjustments_of, adjustments_of_mark

OPTIONS: Final = frozenset({"path", "encoding"})
"""``path`` (needed) and ``encoding`` (``auto``, ``utf-8`` or ``gb18030``)."""

_ENCODINGS: Final = ("auto", "utf-8", "gb18030")
_KINDS: Final = ("future", "option", "combination", "other")
_CLASSES: Final = {"1": "future", "2": "option", "3": "combination", "6": "option", "7": "option"}
"""CTP's ProductClass: 1 futures, 2 options, 3 combinations, 6 spot options (CFFEX index options), 7 on funds."""
_MARKED: Final = re.compile(r"\d[A-Z]$")
"""``50ETF购6月2205A`` was adjusted; ``50ETF购6月2.50`` was not."""
_OPTION_TYPES: Final = {"1": "call", "2": "put", "认购": "call", "认沽": "put"}
"""CTP's OptionsType, and the words of Shanghai's lists."""
_MARKETS: Final = {"SH": "SSE", "SZ": "SZSE"}


def _own(row: Row) -> Contract:
    code = needed(row, "code")
    kind = text(row, "kind") or kind_of(code)
    if kind not in _KINDS:
        raise ValueError(f"kind {kind!r} is not one of {', '.join(_KINDS)}")
    return Contract(
        instrument=Instrument(needed(row, "exchange"), code),
        name=text(row, "name"),
        product=text(row, "product") or product_of(code),
        kind=kind,
        multiplier=whole(row, "multiplier"),
        price_tick=price(row, "price_tick"),
        expire_date=date(row, "expire_date"),
        underlying=text(row, "underlying"),
        strike=price(row, "strike"),
        option_type=one_of(row, "option_type", ("call", "put")),
        trading_code=(code_word := text(row, "trading_code")),
        adjustments=count(row, "adjustments") if text(row, "adjustments") else adjustments_of(code_word),
    )


def _ctp(row: Row) -> Contract:
    kind = _CLASSES.get(text(row, "PRODUCTCLASS"), "other")
    option = kind == "option"
    trading_code = text(row, "INSTRUMENTCODE") if option else ""
    return Contract(
        instrument=Instrument(needed(row, "EXCHANGEID"), needed(row, "INSTRUMENTID")),
        name=text(row, "INSTRUMENTNAME"),
        product=text(row, "PRODUCTID"),
        kind=kind,
        multiplier=whole(row, "VOLUMEMULTIPLE"),
        price_tick=price(row, "PRICETICK"),
        expire_date=date(row, "EXPIREDATE"),
        underlying=text(row, "UNDERLYINGINSTRID") if option else "",
        strike=price(row, "STRIKEPRICE") if option else None,
        option_type=_OPTION_TYPES.get(text(row, "OPTIONSTYPE"), "") if option else "",
        trading_code=trading_code,
        adjustments=adjustments_of(trading_code),
    )


def _stock_option(row: Row) -> Contract:
    code, _, market = needed(row, "option_code").partition(".")
    if market not in _MARKETS:
        raise ValueError(f"option_code {row['option_code']!r} does not end in one of .{', .'.join(_MARKETS)}")
    name, underlying = text(row, "option_name"), text(row, "us_code").partition(".")[0]
    return Contract(
        instrument=Instrument(_MARKETS[market], code),
        name=name,
        product=underlying,
        kind="option",
        multiplier=whole(row, "multiplier"),
        expire_date=date(row, "last_tradedate"),
        underlying=underlying,
        strike=price(row, "strike_price"),
        option_type=_OPTION_TYPES.get(text(row, "call_put"), ""),
        adjustments=adjustments_of_mark(name[-1]) if _MARKED.search(name) else 0,
    )


_LAYOUTS: Final[tuple[tuple[tuple[str, ...], Callable[[Row], Contract]], ...]] = (
    (("exchange", "code"), _own),
    (("INSTRUMENTID", "EXCHANGEID"), _ctp),
    (("option_code", "option_name"), _stock_option),
)


def read_contracts(path: Path, encoding: str = "auto") -> list[Contract]:
    """All contracts of a file, in its order. Blocking. Raises CatalogueError naming the file and the line."""
    body = _read(path, encoding)
    json_like = body.lstrip()[:1] in ("{", "[")
    found: dict[Instrument, Contract] = {}
    for place, read in _json_rows(path, body) if json_like else _csv_rows(path, body):
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


def _csv_rows(path: Path, body: str) -> Iterator[tuple[str, Callable[[], Contract]]]:
    lines = csv.reader(io.StringIO(body, newline=""), strict=True)
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


def _json_rows(path: Path, body: str) -> Iterator[tuple[str, Callable[[], Contract]]]:
    try:
        data = json.loads(body)
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
