"""Orders over the control service: failover, failback, a required failover, a restarted line."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import msgspec
import pytest

from gateway.bus.memory import MemoryBus
from gateway.control.events import Switch
from gateway.control.failover import SwitchRefusedError
from gateway.control.service import ControlService
from gateway.errors import ControlError
from gateway.subjects import control_subject
from tests.unit.control.market import Market, json_of


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    bus = MemoryBus()
    await bus.start()
    yield bus
    await bus.aclose()


@pytest.fixture
async def market(bus: MemoryBus) -> Market:
    market = Market(bus)
    market.rows = {"ctp:primary": [], "ctp:backup": []}
    await ControlService(bus, market, "feedgate", figures=market.figures).start()
    return market


async def ask(bus: MemoryBus, endpoint: str, **request: object) -> bytes:
    return await bus.request(control_subject(endpoint), msgspec.json.encode(request))


async def test_a_failover_is_carried_out_and_answered_with_its_switch(bus, market) -> None:
    data = await ask(bus, "failover", feed="ctp", to="ctp:backup", reason="front A is maintained", operator="wang")
    assert market.orders == [("failover", "ctp", "ctp:backup", "front A is maintained", "wang")]
    assert msgspec.json.decode(data, type=Switch) == market.switched[0]
    assert json_of(data)["type"] == "switch"


async def test_the_only_feed_need_not_be_named_and_the_next_line_is_the_routers_choice(bus, market) -> None:
    await ask(bus, "failover", reason="planned")
    await ask(bus, "failback", reason="over")
    assert market.orders == [("failover", "ctp", None, "planned", ""), ("failback", "ctp", None, "over", "")]


async def test_a_switch_that_failed_is_a_reply_and_no_error(bus, market) -> None:
    market.switch_error = "ctp:backup did not log in within 5 s"
    switch = msgspec.json.decode(await ask(bus, "failover", reason="planned"), type=Switch)
    assert (switch.ok, switch.error) == (False, "ctp:backup did not log in within 5 s")


async def test_a_running_switch_refuses_another_one_as_busy(bus, market) -> None:
    market.raises = SwitchRefusedError("feed ctp: failover from a to b runs; try again when it is over", feed="ctp")
    with pytest.raises(ControlError, match="try again when it is over") as caught:
        await ask(bus, "failover", reason="planned")
    assert caught.value.fields["reply_code"] == "busy"


async def test_with_several_feeds_one_has_to_be_named(bus, market) -> None:
    market.rows["sopt:primary"] = []
    for endpoint in ("failover", "failback", "failover_required"):
        with pytest.raises(ControlError, match=r"which feed\? Name one of: ctp, sopt"):
            await ask(bus, endpoint, reason="planned")
    await ask(bus, "failback", feed="sopt", reason="planned")
    assert market.orders == [("failback", "sopt", None, "planned", "")]


@pytest.mark.parametrize(
    ("endpoint", "request_", "said"),
    [
        ("failover", {}, "missing required field `reason`"),
        ("failover", {"reason": " \n\t "}, "reason is blank"),
        ("failover", {"reason": "a\x1b[2Jb"}, "reason has characters that cannot be printed"),
        ("failover", {"reason": "x", "operator": "a\x00"}, "operator has characters that cannot be printed"),
        ("failover", {"reason": "x" * 1001}, "length <= 1000"),
        ("failover", {"reason": "x", "feed": "cpt"}, "no feed 'cpt' here; the feeds are: ctp"),
        ("failover", {"reason": "x", "to": "backup"}, "no line 'backup'; its lines are: ctp:primary, ctp:backup"),
        ("failover", {"reason": "x", "dry_run": True}, "unknown field `dry_run`.*its fields are: reason, feed, to"),
        ("failback", {"reason": "x", "to": "ctp:backup"}, "unknown field `to`"),
        ("failback", {"reason": ""}, "reason is blank"),
        ("failover_required", {"value": 1}, "reason is blank"),
        ("failover_required", {"reason": "x", "value": -1}, "Expected `float` >= 0"),
        ("restart_line", {"reason": "x"}, "missing required field `line`"),
        ("restart_line", {"line": "ctp:primary", "reason": ""}, "reason is blank"),
        ("restart_line", {"line": "ctp:third", "reason": "x"}, "no line 'ctp:third' here; the lines are: ctp:primary"),
    ],
)
async def test_a_wrong_order_is_refused_with_what_was_wrong_and_nothing_is_done(
    bus, market, endpoint, request_, said
) -> None:
    with pytest.raises(ControlError, match=said) as caught:
        await ask(bus, endpoint, **request_)
    assert caught.value.fields["reply_code"] == "control"
    assert market.orders == []


async def test_a_feed_with_one_line_has_nothing_to_switch_to(bus, market) -> None:
    del market.rows["ctp:backup"]
    with pytest.raises(
        ControlError, match="nothing to switch to, its lines are: ctp:primary; give it a second"
    ) as caught:
        await ask(bus, "failover", reason="planned")
    assert caught.value.fields["reply_code"] == "control"


async def test_the_lines_of_another_feed_are_no_target(bus, market) -> None:
    market.rows["sopt:primary"] = []
    with pytest.raises(ControlError, match="feed ctp has no line 'sopt:primary'"):
        await ask(bus, "failover", feed="ctp", to="sopt:primary", reason="planned")


async def test_a_required_failover_is_asked_for_and_taken_back(bus, market) -> None:
    assert json_of(await ask(bus, "failover_required", reason="coverage is low")) == {}
    assert json_of(await ask(bus, "failover_required", value=0)) == {}
    assert market.orders == [
        ("require_failover", "ctp", "coverage is low", 1.0),
        ("require_failover", "ctp", "", 0.0),
    ]


async def test_a_line_is_restarted(bus, market) -> None:
    assert json_of(await ask(bus, "restart_line", line="ctp:backup", reason="new front")) == {}
    assert market.orders == [("restart_line", "ctp:backup", "new front")]


async def test_a_reason_of_several_lines_becomes_one_line_and_the_log_says_who_asked(bus, market, caplog) -> None:
    with caplog.at_level(logging.WARNING, "gateway.control.orders"):
        await ask(bus, "failover", reason="机房断电\n  2025 WARNING forged", operator="王五")
        await ask(bus, "failover_required", value=0)
    assert market.orders[0][3] == "机房断电 2025 WARNING forged"
    assert caplog.messages == [
        "ordered by 王五: failover of feed ctp to the next line: 机房断电 2025 WARNING forged",
        "ordered: failover_required of feed ctp is 0",
    ]
