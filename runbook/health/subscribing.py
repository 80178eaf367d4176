"""Subscribes many contracts in paced batches, and says of each how that ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from gateway.client import Client
from gateway.clock import Clock
from gateway.control import Subscription, SubscriptionState
from gateway.model import Contract
from gateway.subjects import matcher
from runbook.health.pacing import RateWindow, SentBatch
from runbook.runner.run import shanghai

Outcome = Literal["already", "confirmed", "failed", "planned", "not_sent"]
ErrorCode = Literal["", "unknown", "refused", "no_answer", "no_line", "not_sent"]

_POLL_S: Final = 0.25
_BACK_OFF_S: Final = 1.0
_BACK_OFF_MOST_S: Final = 10.0

Tell = Callable[[str, str, dict[str, Any]], None]


@dataclass(slots=True, kw_only=True)
class ContractOutcome:
    """One contract.

    ``error_code``: ``unknown`` (not in the catalogue), ``refused`` (by the vendor, see the reason), ``no_answer`` (not
    confirmed in time), ``no_line`` (none is up), ``not_sent`` (the run ended before its turn); empty: it is carried.
    """

    symbol: str
    outcome: Outcome = "not_sent"
    error_code: ErrorCode = "not_sent"
    reason: str = ""
    lines: tuple[str, ...] = ()
    """That carry it."""
    batch: int | None = None
    """The last one it went out with."""
    tries: int = 0
    at: str = ""
    """When its outcome was known; RFC 3339 with +08:00."""

    @property
    def ok(self) -> bool:
        return self.outcome in ("already", "confirmed", "planned")

    def as_json(self) -> dict[str, Any]:
        return {
            "symbol": self.symbol,
            "outcome": self.outcome,
            "error_code": self.error_code,
            "reason": self.reason,
            "lines": ",".join(self.lines),
            "batch": self.batch,
            "tries": self.tries,
            "at": self.at,
        }


@dataclass(slots=True, kw_only=True)
class Progress:
    """What is known so far; also after an error, when the rest was not sent."""

    outcomes: dict[str, ContractOutcome]
    batches: list[SentBatch] = field(default_factory=list)
    rate_waits: int = 0

    @property
    def open(self) -> list[str]:
        """Not carried yet."""
        return [name for name, one in self.outcomes.items() if not one.ok]


def choose(
    contracts: Sequence[Contract],
    expected: Iterable[str],
    *,
    include: Sequence[str],
    exclude: Sequence[str],
    limit: int | None,
) -> list[str]:
    """Names in the catalogue's order: those of ``include``, or those expected when it is empty. Raises ValueError."""
    known = dict.fromkeys(str(contract.instrument) for contract in contracts)
    if include:
        takes = [matcher(pattern) for pattern in include]
        chosen = [name for name in known if any(take(name) for take in takes)]
    else:
        wanted = set(expected)
        chosen = [name for name in known if name in wanted] + sorted(wanted - known.keys())
    leaves = [matcher(pattern) for pattern in exclude]
    return [name for name in chosen if not any(leave(name) for leave in leaves)][:limit]


class Subscriber:
    """One run. Asks for what is not confirmed yet, a batch at a time, and waits for the answers of each."""

    def __init__(
        self,
        client: Client,
        rate: RateWindow,
        clock: Clock,
        *,
        batch_size: int,
        max_retries: int,
        confirm_s: float,
        tell: Tell,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """``batch_size`` must fit into the rate's window; ``confirm_s`` bounds the wait for one batch."""
        self._client, self._rate, self._clock = client, rate, clock
        self._batch_size, self._max_retries, self._confirm_s = batch_size, max_retries, confirm_s
        self._tell, self._sleep = tell, sleep

    async def run(self, progress: Progress) -> None:
        """Fill ``progress``. Raises ControlError when the gateway does not answer; what was known stays known."""
        await self._note(progress, first=True)
        for retry in range(self._max_retries + 1):
            names = [name for name in progress.open if progress.outcomes[name].error_code != "unknown"]
            if not names:
                return
            if retry:
                self._tell("retry", f"{len(names)} contracts again", {"retry": retry})
                await self._sleep(min(_BACK_OFF_S * 2 ** (retry - 1), _BACK_OFF_MOST_S))
            for start in range(0, len(names), self._batch_size):
                if not await self._batch(names[start : start + self._batch_size], progress):
                    await self._note(progress)
                    return
            await self._note(progress)

    async def _batch(self, names: list[str], progress: Progress) -> bool:
        """Whether it makes sense to go on: not when no line is up."""
        await self._rate.take(len(names))
        progress.rate_waits = self._rate.waits
        number = len(progress.batches) + 1
        progress.batches.append(SentBatch(number=number, contracts=len(names), sent_s=self._clock.monotonic()))
        for name in names:
            one = progress.outcomes[name]
            one.batch, one.tries = number, one.tries + 1
            one.outcome, one.error_code, one.reason = "failed", "no_answer", "not confirmed in time"
        reply = await self._client.subscribe(*names)
        for name in set(names).intersection(reply.unknown_names):
            one = progress.outcomes[name]
            one.error_code, one.reason, one.at = "unknown", "the gateway's catalogue has no such contract", self._now()
        self._tell("batch", f"batch {number}: {len(names)} contracts", {"accepted": reply.accepted})
        return await self._answered(set(names))

    async def _answered(self, names: set[str]) -> bool:
        """Wait until each was confirmed or refused by every line that is up. False when none is up in the end."""
        until = self._clock.monotonic() + self._confirm_s
        while True:
            up = {line.line: line for line in (await self._client.status()).lines if line.state.is_up}
            if up:
                if all(line.confirmed + line.failed == line.wanted for line in up.values()):
                    return True
                states = (SubscriptionState.WANTED, SubscriptionState.PENDING)
                rows = (await self._client.subscriptions(states=states)).subscriptions
                if not any(row.instrument in names and row.line in up for row in rows):
                    return True
            if self._clock.monotonic() >= until:
                return bool(up)
            await self._sleep(_POLL_S)

    async def _note(self, progress: Progress, *, first: bool = False) -> None:
        """Read how all of them stand."""
        up = {line.line for line in (await self._client.status()).lines if line.state.is_up}
        rows = (await self._client.subscriptions()).subscriptions
        carried: dict[str, list[str]] = {}
        refused: dict[str, Subscription] = {}
        for row in rows:
            if row.state is SubscriptionState.CONFIRMED:
                carried.setdefault(row.instrument, []).append(row.line)
            elif row.state is SubscriptionState.FAILED:
                refused[row.instrument] = row
        for name, one in progress.outcomes.items():
            if name in carried:
                if not one.ok:
                    one.outcome, one.error_code, one.reason = "already" if first else "confirmed", "", ""
                    one.at = self._now()
                one.lines = tuple(carried[name])
            elif one.tries and one.error_code != "unknown":
                one.at = self._now()
                one.outcome = "failed"
                if name in refused:
                    one.error_code = "refused"
                    one.reason = f"{refused[name].line}: {refused[name].reason}"
                elif not up:
                    one.error_code, one.reason = "no_line", "no line is up"

    def _now(self) -> str:
        return shanghai(self._clock.wall_ns())


def audit_rows(progress: Progress) -> Iterator[dict[str, Any]]:
    """A row for each contract, for the CSV."""
    return (one.as_json() for one in progress.outcomes.values())


AUDIT_COLUMNS: Final = ("symbol", "outcome", "error_code", "reason", "lines", "batch", "tries", "at")
