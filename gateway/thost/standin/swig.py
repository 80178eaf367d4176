"""Classes that look like SWIG's wrappers of the vendor's structs: attributes over real memory, and ``this``."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any, Final

from gateway.thost.layout import Depth

Member = tuple[str, Any]

TEXT: Final = ctypes.c_char * 81
LOGIN: Final[tuple[Member, ...]] = (
    ("BrokerID", ctypes.c_char * 11),
    ("UserID", ctypes.c_char * 16),
    ("Password", ctypes.c_char * 41),
)
AUTHENTICATE: Final[tuple[Member, ...]] = (*LOGIN[:2], ("AppID", ctypes.c_char * 33), ("AuthCode", ctypes.c_char * 17))
INFO: Final[tuple[Member, ...]] = (("ErrorID", ctypes.c_int), ("ErrorMsg", TEXT))


class Address:
    """``int(field.this)``: where the struct lies."""

    __slots__ = ("_memory",)

    def __init__(self, memory: ctypes.Structure) -> None:
        self._memory = memory

    def __int__(self) -> int:
        return ctypes.addressof(self._memory)


def struct_class(name: str, members: Iterable[Member]) -> type:
    """A wrapper class. Texts are GB18030 in memory and ``str`` outside.

    A text that leaves no room for the NUL raises TypeError, with SWIG's words.
    """
    fields = list(members)
    memory = type(f"{name}Memory", (ctypes.Structure,), {"_fields_": fields})

    def init(self: Any) -> None:
        self._memory = memory()
        self.this = Address(self._memory)

    def member(key: str, kind: Any) -> property:
        size = ctypes.sizeof(kind)

        def get(self: Any) -> Any:
            value = getattr(self._memory, key)
            return value.decode("gb18030") if isinstance(value, bytes) else value

        def put(self: Any, value: Any) -> None:
            if isinstance(value, str):
                value = value.encode("gb18030")
                if len(value) >= size:
                    raise TypeError(f"in method '{name}_{key}_set', argument 2 of type 'char [{size}]'")
            setattr(self._memory, key, value)

        return property(get, put)

    return type(name, (), {"__init__": init, **{key: member(key, kind) for key, kind in fields}})


def depth_members(depth: Depth) -> list[Member]:
    """The members of a depth struct, in memory order with C's alignment."""

    def kind(name: str) -> Any:
        if name in depth.texts:
            return ctypes.c_char * depth.texts[name]
        if name in depth.integers:
            return ctypes.c_longlong if name in depth.big_integers else ctypes.c_int
        return ctypes.c_double

    return [(name, kind(name)) for name in depth.fields]


def instrument_members(row: dict[str, str | int | float]) -> list[Member]:
    """The members that a row of a contract list needs."""
    kinds = {str: TEXT, int: ctypes.c_int, float: ctypes.c_double}
    return [(name, kinds[type(value)]) for name, value in row.items()]
