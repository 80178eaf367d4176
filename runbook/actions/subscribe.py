"""The action ``subscribe``: subscribe the whole feed in paced batches, with a record of each contract's outcome."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from gateway.client import Client
from gateway.control import SubscriptionState
from gateway.errors import ControlError, FeedgateError
from gateway.hookspecs import hookimpl
from gateway.model import LineId
from gateway.settings.fields import Count, FilePath, Pattern, Retries, Seconds
from runbook.context import ActionContext
from runbook.health.expected import configured
from runbook.health.files import shown, stamp, table, write_new
from runbook.health.judge import some
from runbook.health.pacing import RateWindow, SentBatch, over_rate
from runbook.health.subscribing import AUDIT_COLUMNS, ContractOutcome, Progress, Subscriber, audit_rows, choose
from runbook.hookspecs import ActionKind
from runbook.model import ActionResult, Exit

log = logging.getLogger(__name__)

AUDIT: Final = "subscription_audit_"
_AWAY: Final = frozenset({"no_responder", "timeout", "disconnected"})


def _listed(value: object) -> object:
    """``"SHFE.rb*,DCE.m*"`` is two patterns."""
    return [text.strip() for text in value.split(",") if text.strip()] if isinstance(value, str) else value


Patterns = Annotated[list[Pattern], BeforeValidator(_listed)]


class SubscribeParameters(BaseModel, extra="forbid", frozen=True):
    """Unset figures come from the gateway's subscription settings."""

    batch_size: Count | None = Field(None, le=5000, description="Contracts of one request to the gateway")
    rate_limit_window: Seconds = Field(1.0, le=3600, description="Seconds that --rate-limit-max counts over")
    rate_limit_max: Count | None = Field(
        None, description="Most contracts asked for within any --rate-limit-window; batches wait for it"
    )
    max_retries: Retries = Field(3, le=20, description="How often refused or unanswered contracts are asked for again")
    include: Patterns = Field(
        default_factory=list,
        description="Patterns of contracts such as SHFE.rb*, comma separated; unset: what the settings want",
    )
    exclude: Patterns = Field(default_factory=list, description="Patterns of contracts to leave out, comma separated")
    limit: Count | None = Field(None, description="Subscribe at most so many, in the catalogue's order")
    health: bool = Field(
        False, description="Change nothing; list unsubscribed contracts, and batches of the last run above the rate"
    )
    output_dir: FilePath | None = Field(None, description="Directory of the audit files; unset: the log directory")
    confirm_timeout: Seconds = Field(30.0, le=300, description="Seconds; a batch must be confirmed within")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.batch_size and self.rate_limit_max and self.batch_size > self.rate_limit_max:
            raise ValueError("batch_size is above rate_limit_max, so no batch could ever go; make it smaller")
        return self


async def subscribe(context: ActionContext, parameters: SubscribeParameters) -> ActionResult:
    """Exit code 14 when a contract is not carried in the end, 13 when the gateway does not answer, 12 without NATS."""
    settings = context.settings.subscriptions
    most = parameters.rate_limit_max or max(1, int(settings.per_second * parameters.rate_limit_window))
    size = min(parameters.batch_size or settings.batch_size, most)
    try:
        async with context.connect() as client:
            names = await _names(client, context, parameters)
            if not names:
                return ActionResult(
                    exit_code=Exit.SUBSCRIPTIONS,
                    message="no contract is chosen; check --include, --exclude and the gateway's catalogue",
                )
            if parameters.health:
                return await _health(client, context, parameters, names, most)
            if context.request.dry_run:
                return await _plan(client, context, parameters, names, size)
            return await _run(client, context, parameters, names, size, most)
    except ControlError as error:
        away = error.fields.get("reply_code") in _AWAY
        return ActionResult(
            exit_code=Exit.GATEWAY if away else Exit.SUBSCRIPTIONS,
            message=f"nothing was subscribed: {error}; look at the gateway's log, start it (runbook start), try again",
        )


async def _names(client: Client, context: ActionContext, parameters: SubscribeParameters) -> list[str]:
    contracts = await client.contracts()
    expected: set[str] = set()
    if not parameters.include:
        wanted: dict[str, set[str]] = {feed.feed: set() for feed in (await client.status()).feeds}
        for row in (await client.subscriptions()).subscriptions:
            wanted.setdefault(LineId.parse(row.line).feed, set()).add(row.instrument)
        listed = {feed: await client.contracts(feed=feed) for feed in wanted}
        asked = configured(context.settings.feeds, listed, wanted)
        expected = set().union(*wanted.values(), *asked.values())
    return choose(contracts, expected, include=parameters.include, exclude=parameters.exclude, limit=parameters.limit)


async def _run(
    client: Client, context: ActionContext, parameters: SubscribeParameters, names: list[str], size: int, most: int
) -> ActionResult:
    progress = Progress(outcomes={name: ContractOutcome(symbol=name) for name in names})
    subscriber = Subscriber(
        client,
        RateWindow(most, parameters.rate_limit_window, context.clock),
        context.clock,
        batch_size=size,
        max_retries=parameters.max_retries,
        confirm_s=parameters.confirm_timeout,
        tell=context.tell,
    )
    failure: FeedgateError | None = None
    output, unwritten = "", ""
    try:
        await subscriber.run(progress)
    except FeedgateError as error:
        failure = error
    finally:  # also when it is cancelled: what was asked for is on record
        try:
            output = _audit(context, parameters, progress, most)
        except OSError as error:
            unwritten = f"; its audit could not be written: {error.strerror or error}"
            log.warning("the audit of the subscriptions could not be written: %s", error)
    code, message = _verdict(progress, failure)
    if unwritten and code == Exit.OK:
        code = Exit.WARNING
    details = {**_summary(progress), "not_carried": [progress.outcomes[name].as_json() for name in progress.open]}
    return ActionResult(exit_code=code, message=message + unwritten, details=details, output=output)


def _verdict(progress: Progress, failure: FeedgateError | None) -> tuple[int, str]:
    total, left = len(progress.outcomes), progress.open
    if failure is not None:
        away = failure.fields.get("reply_code") in _AWAY
        code = failure.exit_code if failure.exit_code == Exit.NATS else Exit.GATEWAY if away else Exit.SUBSCRIPTIONS
        return code, f"stopped with {len(left)} of {total} contracts not carried: {failure}; run subscribe again"
    if not left:
        return Exit.OK, f"all {total} contracts are carried"
    codes = Counter(progress.outcomes[name].error_code for name in left)
    if codes["no_line"]:
        step = "no line is up: look at the lines' reasons, then runbook failover or runbook restart"
    else:
        step = "the audit has the reason of each"
    said = ", ".join(f"{count} {code}" for code, count in codes.most_common())
    return Exit.SUBSCRIPTIONS, f"{len(left)} of {total} contracts are not carried ({said}): {some(left)}; {step}"


def _summary(progress: Progress) -> dict[str, Any]:
    return {
        "total": len(progress.outcomes),
        "outcomes": dict(Counter(one.outcome for one in progress.outcomes.values())),
        "error_codes": dict(Counter(one.error_code for one in progress.outcomes.values() if one.error_code)),
        "batches": len(progress.batches),
        "rate_waits": progress.rate_waits,
    }


def _audit(context: ActionContext, parameters: SubscribeParameters, progress: Progress, most: int) -> str:
    """Write both files; where the JSON is. Blocking, a few milliseconds. Raises OSError."""
    directory: Path = parameters.output_dir or context.log_dir
    name = AUDIT + stamp(context.clock.wall_ns())
    document = {
        "run": context.run,
        **_summary(progress),
        "rate_limit_window": parameters.rate_limit_window,
        "rate_limit_max": most,
        "sent": [
            {"batch": one.number, "contracts": one.contracts, "sent_s": round(one.sent_s, 6)}
            for one in progress.batches
        ],
        "contracts": list(audit_rows(progress)),
    }
    path = write_new(directory, name, ".json", json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    write_new(directory, path.stem, ".csv", table(AUDIT_COLUMNS, audit_rows(progress)))
    return shown(path, context.log_dir)


async def _carried(client: Client) -> set[str]:
    rows = (await client.subscriptions(states=(SubscriptionState.CONFIRMED,))).subscriptions
    return {row.instrument for row in rows}


async def _plan(
    client: Client, context: ActionContext, parameters: SubscribeParameters, names: list[str], size: int
) -> ActionResult:
    carried = await _carried(client)
    todo = [name for name in names if name not in carried]
    batches = -(-len(todo) // size)
    context.tell("plan", f"{len(todo)} contracts in {batches} batches", {})
    return ActionResult(
        exit_code=Exit.OK,
        message=f"would subscribe {len(todo)} of {len(names)} contracts in {batches} batches of up to {size}",
        details={
            "total": len(names),
            "already": len(names) - len(todo),
            "batches": batches,
            "batch_size": size,
            "max_retries": parameters.max_retries,
            "planned": todo,
        },
    )


async def _health(
    client: Client, context: ActionContext, parameters: SubscribeParameters, names: list[str], most: int
) -> ActionResult:
    carried = await _carried(client)
    unsubscribed = [name for name in names if name not in carried]
    directory: Path = parameters.output_dir or context.log_dir
    last = await asyncio.to_thread(_last_audit, directory)
    over = None if last is None else list(over_rate(last[1], most, parameters.rate_limit_window))
    details = {
        "total": len(names),
        "unsubscribed": unsubscribed,
        "audit": "" if last is None else shown(last[0], context.log_dir),
        "over_rate_batches": None
        if over is None
        else [{"batch": one.number, "contracts": one.contracts, "within_window": count} for one, count in over],
    }
    rate = "no run of subscribe is on record" if over is None else f"{len(over)} batches above the rate"
    if unsubscribed:
        text = f"{len(unsubscribed)} of {len(names)} contracts are not subscribed: {some(unsubscribed)}; {rate}"
        return ActionResult(exit_code=Exit.SUBSCRIPTIONS, message=f"{text}; run subscribe", details=details)
    code = Exit.WARNING if over else Exit.OK
    return ActionResult(exit_code=code, message=f"all {len(names)} contracts are subscribed; {rate}", details=details)


def _last_audit(directory: Path) -> tuple[Path, list[SentBatch]] | None:
    """The newest one that can be read."""
    for path in sorted(directory.glob(f"{AUDIT}*.json"), key=lambda one: one.stat().st_mtime_ns, reverse=True):
        try:
            sent = json.loads(path.read_bytes())["sent"]
            return path, [
                SentBatch(number=int(one["batch"]), contracts=int(one["contracts"]), sent_s=float(one["sent_s"]))
                for one in sent
            ]
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s is no audit of subscriptions: %s", path, error)
    return None


def _build() -> Any:
    return subscribe


@hookimpl(optionalhook=True)
def runbook_actions() -> Sequence[ActionKind]:
    """The action ``subscribe``."""
    return [
        ActionKind(
            name="subscribe",
            title="Subscribe the full feed",
            build=_build,
            parameters=SubscribeParameters,
            timeout_s=1800.0,
        )
    ]
