"""Plain values as YAML. Every text is quoted, so no text is taken for a number, a date, a tag or an alias."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence


def yaml_text(value: Mapping[str, object]) -> str:
    """A document. Takes tables, lists, texts, numbers, booleans and None; raises TypeError for anything else."""
    return "\n".join(_table(value, 0)) + "\n"


def _table(value: Mapping[str, object], depth: int) -> Iterator[str]:
    for key, inside in value.items():
        name = key if key.isidentifier() and key.isascii() and key.lower() not in _WORDS else _scalar(key)
        yield from _member(f"{'  ' * depth}{name}:", inside, depth + 1)


def _member(start: str, value: object, depth: int) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        yield start
        yield from _table(value, depth)
    elif isinstance(value, list | tuple) and value:
        yield start
        yield from _list(value, depth)
    else:
        yield f"{start} {_scalar(value)}"


def _list(value: Sequence[object], depth: int) -> Iterator[str]:
    for inside in value:
        start = f"{'  ' * depth}-"
        if isinstance(inside, Mapping | list | tuple) and inside:
            # the first line of what is inside begins behind the dash
            lines = list(_table(inside, depth + 1) if isinstance(inside, Mapping) else _list(inside, depth + 1))
            yield f"{start} {lines[0].lstrip(' ')}"
            yield from lines[1:]
        else:
            yield f"{start} {_scalar(inside)}"


def _scalar(value: object) -> str:
    if value is None or isinstance(value, bool | int) or value in ({}, [], ()):
        return json.dumps(value)
    if isinstance(value, float):
        if math.isnan(value):
            return ".nan"
        if math.isinf(value):
            return ".inf" if value > 0 else "-.inf"
        digits, mark, power = repr(value).partition("e")
        # YAML 1.1 takes 1e-05 for a text
        return f"{digits}{'' if '.' in digits else '.0'}{mark}{power}"
    if isinstance(value, str):
        return json.dumps(value.encode("utf-8", "replace").decode(), ensure_ascii=False).translate(_ODD)
    raise TypeError(f"{type(value).__name__} has no YAML form here")


_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_ODD = {code: f"\\u{code:04x}" for code in (0x7F, *range(0x80, 0xA0), 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF)}
"""What YAML does not print, or takes for the end of a line."""
