"""Requests read and replies kept below the size of a message: what every endpoint of the control service does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from gateway.errors import ControlError
from gateway.subjects import matcher, subscription_subject

PAGE_BYTES = 448 * 1024
"""Payload budget of a reply. A NATS server takes 1 MiB a message unless told otherwise."""

Request = TypeVar("Request")


class NoFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request that asks for nothing in particular."""


def read(payload: bytes, kind: type[Request]) -> Request:
    """The request in a payload; an empty one is all defaults. Raises ControlError that names the fields."""
    try:
        return msgspec.json.decode(payload or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        fields = ", ".join(field.name for field in msgspec.structs.fields(kind)) or "none"  # type: ignore[arg-type]  # every request is a Struct
        raise ControlError(f"bad request: {error}; send a JSON object, its fields are: {fields}") from None


def plain(what: str, text: str) -> str:
    """Words on one line, for logs and records. Raises ControlError for what cannot be printed."""
    words = " ".join(text.split())
    if not words.isprintable():
        raise ControlError(f"{what} has characters that cannot be printed: {words!a}; send plain text")
    return words


def any_of(patterns: Iterable[str]) -> Callable[[str], bool]:
    """A predicate over ``EXCHANGE.CODE``: does any pattern match? Raises ControlError for a bad pattern."""
    patterns = tuple(dict.fromkeys(patterns))
    if not patterns:
        raise ControlError('patterns is empty; name some, for example ["SHFE.rb*"], or ["*"] for everything')
    try:
        for pattern in patterns:
            subscription_subject(pattern)
    except ValueError as error:
        raise ControlError(str(error)) from None
    if "*" in patterns:
        return lambda _name: True
    if len(patterns) == 1:
        return matcher(patterns[0])
    tests = [matcher(pattern) for pattern in patterns]
    return lambda name: any(test(name) for test in tests)


def page(found: Iterable[tuple[int, Any]], limit: int, budget: int) -> tuple[list[msgspec.Raw], int | None]:
    """As many as fit, at least one, and the position to go on from; None when that was all."""
    rows: list[msgspec.Raw] = []
    for position, row in found:
        budget -= len(row) + 1
        if rows and (budget < 0 or len(rows) >= limit):
            return rows, position
        rows.append(msgspec.Raw(row))
    return rows, None


def within(names: Iterable[str], budget: int) -> Iterator[str]:
    """The first names that fit into so many bytes of JSON."""
    for name in names:
        budget -= len(msgspec.json.encode(name)) + 1
        if budget < 0:
            return
        yield name
