"""docs/subjects.md says what the code does."""

from __future__ import annotations

import re
import types
import typing
from pathlib import Path

import msgspec
import pytest

from gateway import control
from gateway.client import Client
from gateway.codec import encode_market
from gateway.control import ENDPOINTS
from gateway.control.events import Switch
from gateway.control.figures import Figures
from gateway.control.messages.catalogue import ReloadReply, ReloadRequest
from gateway.model import Instrument, Tick
from gateway.subjects import tick_subject
from tests.unit.control.market import tick_of

TEXT = (Path(__file__).parents[2] / "docs" / "subjects.md").read_text()
EXAMPLES = re.findall(r"```json (request|reply) (\w+)\n(.*?)```", TEXT, re.DOTALL)
KINDS = {
    ("request", "last"): control.LastRequest,
    ("request", "contracts"): control.ContractsRequest,
    ("reply", "contracts"): control.ContractsReply,
    ("request", "subscriptions"): control.SubscriptionsRequest,
    ("reply", "subscriptions"): control.SubscriptionsReply,
    ("request", "subscribe"): control.SubscribeRequest,
    ("reply", "subscribe"): control.SubscribeReply,
    ("reply", "status"): control.StatusReply,
    ("request", "failover"): control.FailoverRequest,
    ("reply", "failover"): Switch,
    ("request", "failback"): control.FailbackRequest,
    ("request", "failover_required"): control.RequireRequest,
    ("request", "restart_line"): control.RestartRequest,
    ("request", "rotate"): control.RotateRequest,
    ("reply", "rotate"): control.Rotated,
    ("request", "reload_catalogue"): ReloadRequest,
    ("reply", "reload_catalogue"): ReloadReply,
    ("reply", "figures"): Figures,
    ("request", "coverage"): control.CoverageRequest,
    ("reply", "coverage"): control.CoverageReply,
    ("request", "gaps"): control.GapsRequest,
    ("reply", "gaps"): control.GapsReply,
    ("request", "switches"): control.SwitchesRequest,
    ("reply", "switches"): control.SwitchesReply,
}


def words(annotation: object) -> str:
    if typing.get_origin(annotation) is tuple:
        inner = words(typing.get_args(annotation)[0])
        return f"list of ({inner})" if " " in inner else f"list of {inner}"
    if isinstance(annotation, types.UnionType):
        return " or ".join("nil" if part is type(None) else words(part) for part in typing.get_args(annotation))
    return annotation.__name__


def test_the_field_table_is_the_wire_format() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| ([^|]+?) \|", TEXT, re.MULTILINE)
    fields = msgspec.structs.fields(Tick)
    assert rows == [(str(at), field.name, words(field.type)) for at, field in enumerate(fields, start=1)]
    wire = msgspec.msgpack.decode(msgspec.msgpack.encode(tick_of("SHFE.rb2510", seq=9)))
    assert (wire[0], wire[2], wire[7], len(wire)) == (1, 9, "rb2510", len(rows) + 1)
    assert encode_market(tick_of("SHFE.rb2510"))


def test_every_endpoint_has_its_section() -> None:
    for endpoint in ENDPOINTS:
        assert re.search(rf"^### .*`{endpoint}`", TEXT, re.MULTILINE), endpoint
        method = {"failover_required": "require_failover"}.get(endpoint, endpoint)
        assert callable(getattr(Client, method))
        assert f"`{method}`" in TEXT.partition("The requests are methods:")[2]


def test_every_example_is_what_the_service_takes_and_gives() -> None:
    assert {(what, endpoint) for what, endpoint, _ in EXAMPLES} == set(KINDS)
    for what, endpoint, text in EXAMPLES:
        decoded = msgspec.json.decode(text, type=KINDS[what, endpoint])
        given = msgspec.json.decode(text)
        assert set(given) - {"type"} <= set(KINDS[what, endpoint].__struct_fields__)
        if what == "reply":
            assert msgspec.json.decode(msgspec.json.encode(decoded)) == given


@pytest.mark.parametrize("code", ["rb2510", "SP a2105&a2109"])
def test_subjects_are_spelled_as_shown(code) -> None:
    exchange = "SHFE" if code == "rb2510" else "DCE"
    assert f"`{tick_subject(Instrument(exchange, code))}`" in TEXT
