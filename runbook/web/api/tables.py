"""Long lists: JSON in pages, or CSV of the whole, streamed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar

from litestar import Request, Response
from litestar.openapi.spec import Example, OpenAPIMediaType, OpenAPIResponse, Operation, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import QueryParameter
from litestar.response import Stream

from runbook.web.errors import ApiError, WrongField

T = TypeVar("T")

Format = Annotated[
    Literal["json", "csv"] | None,
    QueryParameter(name="format", description="`csv`: the whole list as CSV, streamed; in place of `Accept: text/csv`"),
]
Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=1000, description="Rows of one page at most")]
Cursor = Annotated[
    str,
    QueryParameter(
        name="cursor",
        max_length=100,
        description="`next` of the page before; empty: the first page",
        examples=[Example(summary="first page", value="")],
    ),
]

_DIGITS: Final = 15
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet would take a text for that begins so."""


def wants_csv(request: Request[Any, Any, Any], form: str | None) -> bool:
    """By ``format``, or by ``Accept`` when there is none."""
    if form is not None:
        return form == "csv"
    accept = request.headers.get("accept", "").lower()
    return "text/csv" in accept and not accept.startswith("application/json")


@dataclass
class TableOperation(Operation):
    """In the OpenAPI document: the answer may be CSV as well."""

    def __post_init__(self) -> None:
        found = (self.responses or {}).get("200")
        if isinstance(found, OpenAPIResponse) and found.content is not None:
            found.content["text/csv"] = OpenAPIMediaType(
                schema=Schema(type=OpenAPIType.STRING, description="RFC 4180, UTF-8, the whole list")
            )


def csv_response(chunks: AsyncIterator[str], name: str) -> Response[Any]:
    """As a download. ``chunks`` must have got their first page already, so that an error is still an error."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "X-Content-Type-Options": "nosniff"}
    return Stream(chunks, media_type="text/csv", headers=headers)


async def csv_chunks(columns: Sequence[str], pages: AsyncIterator[Iterable[Mapping[str, Any]]]) -> AsyncIterator[str]:
    """One chunk a page, the heading in the first (RFC 4180, CRLF). Formulas are defused with an apostrophe."""
    heading = _lines([columns])
    async for page in pages:
        yield heading + _lines([cell(row.get(name)) for name in columns] for row in page)
        heading = ""
    if heading:
        yield heading


def cell(value: object) -> str:
    """One value: numbers plain, texts defused, everything else as JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return f"'{text}" if text.startswith(FORMULA) else text


def _lines(rows: Iterable[Sequence[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


async def begun(chunks: AsyncIterator[T]) -> AsyncIterator[T]:
    """The same, once the first is there: what goes wrong until then is raised here, before any answer began."""
    first = await anext(chunks, None)

    async def all_of_them() -> AsyncIterator[T]:
        if first is not None:
            yield first
            async for one in chunks:
                yield one

    return all_of_them()


def number_cursor(text: str) -> int:
    """The gateway's cursors are numbers. Raises ApiError (400) for another one."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        wrong = WrongField(field="cursor", message="is none of these lists'", source="query")
        raise ApiError(400, "usage", "cursor: is none of these lists'; begin without one", errors=[wrong])
    return int(text)
