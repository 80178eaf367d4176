"""The depth struct of a library of the family, as bytes.

A plugin writes down the offsets that were measured for one version of its library (:class:`Depth`). They are verified
against the loaded module before they are used: attributes are set on a field object and looked for in its memory. When
that fails, records are made from the attributes instead: some ten times slower, same bytes for the parser.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

LEVELS: Final = tuple(
    name for n in range(1, 6) for name in (f"BidPrice{n}", f"BidVolume{n}", f"AskPrice{n}", f"AskVolume{n}")
)
"""The five levels in memory order, in every library of the family."""
_INTEGERS: Final = frozenset({"Volume", "UpdateMillisec", *(name for name in LEVELS if "Volume" in name)})


@dataclass(frozen=True, slots=True)
class Layout:
    """What a comparison found."""

    exact: bool
    """Whether the memory can be copied as it is."""
    difference: str = ""
    """What does not match, when it does not."""


class Depth:
    """A depth struct: names in memory order, and how they lie there. A constant of its plugin."""

    def __init__(
        self,
        fields: Iterable[str],
        memory: str,
        texts: Mapping[str, int],
        *,
        unused: Iterable[str] = (),
        big_integers: Iterable[str] = (),
    ) -> None:
        """``memory`` is a :mod:`struct` format with one element a field; ``texts`` has the sizes of text fields.

        ``unused`` are never read by the parser: a library that lacks or moves them alone is still fine to copy.
        """
        self.fields = tuple(fields)
        self.struct = struct.Struct(memory)
        self.texts = dict(texts)
        self.unused = frozenset(unused)
        self.big_integers = frozenset(big_integers)
        self.integers = (_INTEGERS | self.big_integers) & frozenset(self.fields)
        self.size = self.struct.size
        # the record at an address, not copied; ``raw`` is the copy
        self.at_address: Any = (ctypes.c_char * self.size).from_address

    def copy(self, field: Any) -> bytes:
        """Copy the memory behind a SWIG object: about 0.3 µs, half of what ``ctypes.string_at`` takes."""
        return self.at_address(int(field.this)).raw  # type: ignore[no-any-return]  # ctypes has no type for a sized array

    def reader(self, layout: Layout) -> Callable[[Any], bytes]:
        """``field object -> record``. The record is a copy; the vendor's memory may go away."""
        return self.copy if layout.exact else self.from_attributes

    def from_attributes(self, field: Any) -> bytes:
        """The record written from the attributes, for a library whose struct differs. Ten microseconds or more."""
        values: list[bytes | int | float] = []
        for name in self.fields:
            value = getattr(field, name, None)
            if name in self.texts:
                # the terminating zero belongs to the field, as in C
                values.append(str(value or "").encode("gb18030", "replace")[: self.texts[name] - 1])
            elif name in self.integers:
                values.append(int(value or 0))
            else:
                values.append(float(value) if value is not None else 0.0)
        return self.struct.pack(*values)

    def verify(self, module: Any) -> Layout:
        """Compare the loaded module's struct with this one. Costs well under a millisecond."""
        field = module.CThostFtdcDepthMarketDataField()
        expected: dict[str, str | int | float | bytes] = {}
        for number, name in enumerate(self.fields, start=1):
            value = self._probe(name, number)
            try:
                setattr(field, name, value)
            except (AttributeError, TypeError) as error:
                if name in self.unused:
                    continue
                return Layout(exact=False, difference=f"{name}: {error}")
            expected[name] = value.encode("ascii") if isinstance(value, str) else value
        found = dict(zip(self.fields, self.struct.unpack(self.copy(field)), strict=True))
        for name, wanted in expected.items():
            if name not in self.unused and _text(found[name]) != wanted:
                return Layout(exact=False, difference=f"{name} is not where it is expected")
        return Layout(exact=True)

    def _probe(self, name: str, number: int) -> str | int | float:
        if name in self.texts:
            return f"p{number}"
        return 1000 + number if name in self.integers else 1000.5 + number


def _text(value: object) -> object:
    return value.partition(b"\0")[0] if isinstance(value, bytes) else value
