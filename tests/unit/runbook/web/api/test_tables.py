"""CSV: what a spreadsheet must not run, and errors before the first byte."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import pytest

from runbook.web.api.tables import begun, cell, csv_chunks, number_cursor
from runbook.web.errors import ApiError


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_a_text_that_a_spreadsheet_would_run_is_defused(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, ""),
        (True, "true"),
        (-5, "-5"),
        (-0.5, "-0.5"),
        ("", ""),
        ("a=b", "a=b"),
        ({"b": "中", "a": 1}, '{"a": 1, "b": "中"}'),
    ],
)
def test_numbers_stay_numbers_and_tables_are_json(value: object, written: str) -> None:
    assert cell(value) == written


async def test_every_row_of_every_page_is_there_and_hostile_texts_stay_in_their_cell() -> None:
    hostile = 'a"b,c\r\n=cmd|x'

    async def pages() -> AsyncIterator[Iterable[Mapping[str, Any]]]:
        yield [{"name": hostile, "n": 1}, {"name": "x", "n": None}]
        yield []
        yield [{"n": 3}]

    text = "".join([chunk async for chunk in csv_chunks(("name", "n"), pages())])
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["name", "n"], [hostile, "1"], ["x", ""], ["", "3"]]


async def test_what_fails_at_once_fails_before_the_answer_begins() -> None:
    async def broken() -> AsyncIterator[str]:
        raise ApiError(503, "bus", "gone")
        yield ""

    with pytest.raises(ApiError):
        await begun(broken())


async def test_what_is_begun_is_whole() -> None:
    async def chunks() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    assert [one async for one in await begun(chunks())] == ["a", "b"]


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "٣", "9" * 16, " 1"])
def test_a_cursor_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        number_cursor(text)
    assert refused.value.status == 400


def test_no_cursor_is_the_beginning() -> None:
    assert (number_cursor(""), number_cursor("200")) == (0, 200)


async def test_a_table_without_rows_has_its_heading() -> None:
    async def pages() -> AsyncIterator[Iterable[Mapping[str, Any]]]:
        for page in ():
            yield page

    assert [chunk async for chunk in csv_chunks(("a", "b"), pages())] == ["a,b\r\n"]
