"""A card is one promise, checked: plain async functions, so that ``gateway check`` needs no test framework.

Cards are numbered in ``docs/conformance.md``. A card that needs what a subject does not declare is not applicable, and
says which capability is missing; what is declared and does not work fails.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

LIMIT_S: Final = 120.0
"""A card that has not ended by then blocks its loop, or waits for what never comes."""

Result = Literal["pass", "fail", "n/a"]


class CardFailed(AssertionError):  # noqa: N818 - it reads as what happened
    """A promise was not kept; the text says which and how it showed."""


class NotApplicable(Exception):  # noqa: N818 - no error: the card asks for what this subject is not
    """The card cannot be asked of this subject; the text says which capability is missing."""


class Subject(Protocol):
    """What cards are asked about. Made anew for each card."""

    def capabilities(self) -> frozenset[str]:
        """What it declares to be able to."""


MakeSubject = Callable[[], Subject]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One promise."""

    number: str
    """``FEED-01``"""
    title: str
    """The promise, a sentence."""
    fix: str
    """What the author of a plugin that fails it looks at first."""
    needs: tuple[str, ...] = ()
    """Capabilities; all of them."""
    run: Callable[..., Awaitable[None]]
    """``run(make_subject)``; raises CardFailed."""

    def __str__(self) -> str:
        return f"{self.number} {self.title}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one card."""

    card: Card
    result: Result
    reason: str = ""
    """Why it failed, or which capability is missing."""
    error: BaseException | None = None


def card(
    number: str, title: str, *, fix: str, needs: Sequence[str] = ()
) -> Callable[[Callable[..., Awaitable[None]]], Card]:
    """Makes a card of an async function."""

    def make(run: Callable[..., Awaitable[None]]) -> Card:
        return Card(number=number, title=title, fix=fix, needs=tuple(needs), run=run)

    return make


def expect(condition: object, reason: str) -> None:
    """Raises CardFailed with this reason unless the condition holds."""
    if not condition:
        raise CardFailed(reason)


def run_card(one: Card, make: MakeSubject, *, limit_s: float = LIMIT_S) -> Outcome:
    """Run it on a loop and a thread of its own, and wait; never raises for what the subject does.

    A subject that blocks for ever costs ``limit_s`` and that thread, not the caller.
    """
    try:
        missing = [name for name in one.needs if name not in make().capabilities()]
    except Exception as error:  # noqa: BLE001 - an author's class may raise anything
        return Outcome(card=one, result="fail", reason=f"its subject cannot be made: {_words(error)}", error=error)
    if missing:
        return Outcome(card=one, result="n/a", reason=f"no capability {', '.join(missing)}")
    ended: list[BaseException | None] = []

    def work() -> None:
        try:
            asyncio.run(_limited(one, make, limit_s))
        except BaseException as error:  # noqa: BLE001 - told as the card's outcome
            ended.append(error)
        else:
            ended.append(None)

    thread = threading.Thread(target=work, name=f"card {one.number}", daemon=True)
    thread.start()
    thread.join(limit_s + 10.0)
    if not ended:
        reason = f"it did not end within {limit_s + 10.0:g} s: something blocks the event loop"
        return Outcome(card=one, result="fail", reason=reason)
    fault = ended[0]
    if fault is None:
        return Outcome(card=one, result="pass")
    if isinstance(fault, NotApplicable):
        return Outcome(card=one, result="n/a", reason=str(fault))
    return Outcome(card=one, result="fail", reason=_words(fault), error=fault)


async def _limited(one: Card, make: MakeSubject, limit_s: float) -> None:
    try:
        async with asyncio.timeout(limit_s) as limit:
            await one.run(make)
    except TimeoutError:
        if limit.expired():
            raise CardFailed(f"it did not end within {limit_s:g} s") from None
        raise


def _words(error: BaseException) -> str:
    if isinstance(error, AssertionError) and str(error):
        return str(error)
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_words(one) for one in error.exceptions)
    return f"{type(error).__name__}: {error}"
