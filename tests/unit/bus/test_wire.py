"""What we rely on inside nats-py is there, and its absence is said and not stumbled over."""

from __future__ import annotations

import pytest
from nats.aio.client import Client

from gateway.bus import wire
from gateway.bus.wire import Wire
from gateway.errors import BusError


def fresh() -> Wire:
    return Wire("ticks", lambda error: None, lambda text: None)


async def test_the_installed_nats_py_is_one_we_know():
    for name in (*wire._METHODS, *wire._FIELDS):
        assert hasattr(Client(), name), f"nats-py lost {name}: read its source and adapt gateway/bus/wire.py"
    assert isinstance(fresh(), Client)


async def test_every_inner_name_that_the_wire_uses_is_checked_at_connect():
    known = set(vars(Client())) | set(vars(Client))
    used = {name for name in _names_in(Wire) if name.startswith("_") and not name.startswith("__")}
    own = set(vars(Wire)) - set(vars(Client)) | (set(vars(fresh())) - set(vars(Client())))
    assert used & known - own <= {*wire._METHODS, *wire._FIELDS}


def _names_in(kind: type) -> set[str]:
    names: set[str] = set()
    for member in vars(kind).values():
        code = getattr(getattr(member, "fget", member), "__code__", None)
        names.update(code.co_names if code is not None else ())
    return names


@pytest.mark.parametrize("name", ["_process_op_err", "_select_next_server"])
async def test_a_nats_py_without_them_is_refused_with_the_fix(name, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(wire, "_METHODS", (*wire._METHODS, f"{name}_renamed"))
    with pytest.raises(BusError, match=rf"{name}_renamed.*install nats-py>=2\.16,<2\.17"):
        fresh()


async def test_a_parser_without_them_is_refused_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(wire, "_PARSER", (*wire._PARSER, "state_renamed"))
    with pytest.raises(BusError, match=r"no _ps\.state_renamed; install"):
        fresh()


async def test_a_wire_that_is_not_open_takes_nothing():
    closed = fresh()
    with pytest.raises(BusError, match="down"):
        closed.send([(b"PUB x ", b"")])
    assert await closed.round_trip() is False
    assert closed.pending_bytes == 0
    await closed.finish(0.1)
    await closed.finish(0.1)


async def test_a_loss_is_told_once_with_its_first_reason():
    told: list[Exception] = []
    broken = Wire("ticks", told.append, lambda text: None)
    first = ConnectionResetError("first")
    broken.fail(first)
    broken.fail(OSError("second"))
    assert told == [first]
    assert broken.lost.result() is first
    await broken.finish(0.1)
