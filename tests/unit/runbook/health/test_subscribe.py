"""Paced subscription of a whole feed, and what is recorded of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from gateway import FeedSettings
from gateway.clock import SystemClock
from gateway.errors import ControlError
from gateway.model import Contract, Instrument
from runbook.actions.subscribe import SubscribeParameters, subscribe
from runbook.health.expected import configured
from runbook.health.pacing import RateWindow, SentBatch, over_rate
from runbook.health.subscribing import ContractOutcome, Progress, Subscriber
from runbook.model import ActionResult


async def run(bench: Any, gateway: Any, *, dry_run: bool = False, **parameters: Any) -> ActionResult:
    return await subscribe(bench.context(gateway, dry_run=dry_run), SubscribeParameters(**parameters))


def audit(bench: Any, result: ActionResult) -> Any:
    return json.loads((bench.root / "logs" / result.output).read_text())


def subscriber(bench: Any, gateway: Any, *, most: int = 1000, size: int = 4, retries: int = 0) -> Subscriber:
    rate = RateWindow(most, 10.0, bench.clock, sleep=bench.clock.sleep)
    return Subscriber(
        gateway, rate, bench.clock, batch_size=size, max_retries=retries, confirm_s=5,
        tell=lambda *_: None, sleep=bench.clock.sleep,
    )  # fmt: skip


def progress(names: list[str]) -> Progress:
    return Progress(outcomes={name: ContractOutcome(symbol=name) for name in names})


async def test_only_what_is_not_carried_is_asked_for_in_batches(bench: Any, gateway: Any, names: list[str]) -> None:
    gateway.drop(*names[1:])
    result = await run(bench, gateway, batch_size=4)
    assert result.exit_code == 0, result
    assert [len(batch) for batch in gateway.asked] == [4, 4, 1]
    rows = {row["symbol"]: row for row in audit(bench, result)["contracts"]}
    assert rows[names[0]]["outcome"] == "already"
    assert {rows[name]["outcome"] for name in names[1:]} == {"confirmed"}
    assert rows[names[9]]["batch"] == 3
    assert rows[names[9]]["lines"] == "ctp:primary"


async def test_no_window_ever_holds_more_than_allowed(bench: Any, gateway: Any, names: list[str]) -> None:
    gateway.drop(*names)
    made = progress(names)
    await subscriber(bench, gateway, most=5, size=2).run(made)
    assert not made.open
    assert not list(over_rate(made.batches, 5, 10.0))
    assert made.rate_waits == 2
    assert list(over_rate(made.batches, 3, 10.0)), "the check finds what is above"


async def test_refused_contracts_are_tried_again_and_end_with_the_vendors_words(
    bench: Any, gateway: Any, names: list[str]
) -> None:
    gateway.drop(*names[:2])
    gateway.refuses[names[0]] = "合约不存在"
    gateway.patience[names[1]] = 3
    made = progress(names)
    await subscriber(bench, gateway, retries=2).run(made)
    refused, slow = made.outcomes[names[0]], made.outcomes[names[1]]
    assert (refused.outcome, refused.error_code, refused.tries) == ("failed", "refused", 3)
    assert refused.reason == "ctp:primary: 合约不存在"
    assert (slow.outcome, slow.tries) == ("confirmed", 3)


async def test_a_name_that_no_catalogue_has_is_asked_for_once(bench: Any, gateway: Any) -> None:
    made = progress(["SHFE.zz9999"])
    await subscriber(bench, gateway, retries=3).run(made)
    assert made.outcomes["SHFE.zz9999"].error_code == "unknown"
    assert len(gateway.asked) == 1


async def test_a_gateway_that_dies_in_between_leaves_a_record_of_what_was_done(
    bench: Any, gateway: Any, names: list[str]
) -> None:
    gateway.drop(*names)
    ask = gateway.subscribe

    async def dies(*wanted: str) -> Any:
        if gateway.asked:
            gateway.away = ControlError("gone", reply_code="no_responder")
        return await ask(*wanted)

    gateway.subscribe = dies
    result = await run(bench, gateway, batch_size=5)
    assert result.exit_code == 13
    kept = audit(bench, result)
    assert [batch["contracts"] for batch in kept["sent"]] == [5, 5]
    assert len(kept["contracts"]) == 10
    assert result.output.endswith(".json")


async def test_without_a_line_it_stops_after_the_first_batch(bench: Any, gateway: Any, names: list[str]) -> None:
    gateway.up = False
    gateway.drop(*names)
    made = progress(names)
    await subscriber(bench, gateway, retries=3).run(made)
    assert len(gateway.asked) == 1
    assert [made.outcomes[name].error_code for name in names] == ["no_line"] * 4 + ["not_sent"] * 6


async def test_health_lists_what_is_not_subscribed_and_batches_above_the_rate(
    bench: Any, gateway: Any, names: list[str]
) -> None:
    nothing = await run(bench, gateway, health=True)
    assert (nothing.exit_code, nothing.details["over_rate_batches"]) == (0, None)
    gateway.drop(*names)
    assert (await run(bench, gateway, batch_size=5)).exit_code == 0
    fast = await run(bench, gateway, health=True, rate_limit_max=6, rate_limit_window=60)
    assert fast.exit_code == 1
    assert fast.details["over_rate_batches"] == [{"batch": 2, "contracts": 5, "within_window": 10}]
    gateway.drop(names[3])
    gateway.asked.clear()
    listed = await run(bench, gateway, health=True)
    assert (listed.exit_code, listed.details["unsubscribed"], gateway.asked) == (14, [names[3]], [])


async def test_patterns_and_limit_choose_and_a_dry_run_only_plans(bench: Any, gateway: Any, names: list[str]) -> None:
    gateway.drop(*names)
    plan = await run(bench, gateway, dry_run=True, include="SHFE.rb270*", exclude="*01, *03", limit=3, batch_size=2)
    assert (plan.details["planned"], plan.details["batches"]) == ([names[1], names[3], names[4]], 2)
    assert gateway.asked == []
    none = await run(bench, gateway, include="DCE.*")
    assert (none.exit_code, gateway.asked) == (14, [])


async def test_an_audit_that_cannot_be_written_is_a_warning(bench: Any, gateway: Any) -> None:
    (bench.root / "file").write_text("")
    result = await run(bench, gateway, output_dir=bench.root / "file")
    assert result.exit_code == 1
    assert "audit could not be written" in result.message


async def test_batches_are_cut_to_what_the_rate_allows(bench: Any, gateway: Any, names: list[str]) -> None:
    gateway.drop(*names)
    context = replace(bench.context(gateway), clock=SystemClock())
    result = await subscribe(context, SubscribeParameters(rate_limit_max=4, rate_limit_window=0.01))
    assert result.exit_code == 0, result
    assert [len(batch) for batch in gateway.asked] == [4, 4, 2]


def test_a_batch_that_never_fits_into_the_window_is_refused() -> None:
    with pytest.raises(ValidationError, match="batch_size is above rate_limit_max"):
        SubscribeParameters(batch_size=10, rate_limit_max=5)


def test_batches_a_window_apart_do_not_count_together() -> None:
    sent = [SentBatch(number=n, contracts=5, sent_s=float(at)) for n, at in enumerate((0, 1, 2), 1)]
    assert not list(over_rate(sent, 5, 1.0))
    assert [(one.number, count) for one, count in over_rate(sent, 5, 1.5)] == [(2, 10), (3, 10)]


def contracts(*names: str) -> list[Contract]:
    return [Contract(instrument=Instrument.parse(name)) for name in names]


def test_a_pattern_claims_only_what_its_own_feed_lists_also_on_an_exchange_that_two_feeds_carry() -> None:
    feeds = {"ctp": FeedSettings(), "sopt": FeedSettings(instruments=["SSE.1*", "CFFEX.*"])}
    listed = {"ctp": contracts("SHFE.rb2701", "CFFEX.IF2701"), "sopt": contracts("SSE.1001", "CFFEX.IO2701-C-4000")}
    assert configured(feeds, listed, ["ctp", "sopt"]) == {
        "ctp": {"SHFE.rb2701", "CFFEX.IF2701"},
        "sopt": {"SSE.1001", "CFFEX.IO2701-C-4000"},
    }


def test_names_are_claimed_without_a_list_and_a_feed_that_the_settings_do_not_know_claims_nothing() -> None:
    feeds = {"ctp": FeedSettings(instruments=["DCE.m2701", "SHFE.*"])}
    assert configured(feeds, {"ctp": contracts("SHFE.rb2701", "DCE.m2701")}, ["ctp", "other"]) == {
        "ctp": {"SHFE.rb2701", "DCE.m2701"},
        "other": set(),
    }
