"""Cards of what may be seen: secrets, and what the kind says about an account."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from gateway.errors import FeedgateError
from gateway.model import LineState
from gateway.settings.process import process_environment
from gateway.testing.cards import card, expect
from gateway.testing.counter import Counter
from gateway.testing.feed_cards.trouble import WORDS
from gateway.testing.leaks import children_of
from gateway.testing.rig import Rig

_LONG_ENOUGH = 4
"""Shorter secrets occur by chance."""


class _Listener(logging.Handler):
    """Keeps what is logged, with tracebacks, at every level."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextlib.contextmanager
def _listening() -> Iterator[_Listener]:
    root, listener = logging.getLogger(), _Listener()
    level = root.level
    others = [(handler, handler.level) for handler in root.handlers]
    for handler, own in others:
        handler.setLevel(max(own, level))  # it hears no more than before
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    try:
        yield listener
    finally:
        root.setLevel(level)
        root.removeHandler(listener)
        for handler, own in others:
            handler.setLevel(own)


@card(
    "FEED-14",
    "No secret is in the log, a repr, a text told, the command line or the environment",
    needs=("login",),
    fix="never format the account's secrets; hand them to children over a pipe; a repr shows account.masked",
)
async def _keeps_secrets(make: Callable[[], Counter]) -> None:
    seen: dict[str, str] = {}
    with _listening() as listener:
        async with make() as counter:
            secrets = [value for value in counter.account().secrets.values() if len(value) >= _LONG_ENOUGH]
            seen |= await _of_a_life(counter)
            options = counter.options()
            seen["the environment for the child"] = repr(dict(counter.kind.environment(options)))
            seen["the findings of check()"] = repr(list(counter.kind.check(counter.account(), options)))
        if "refuse" in counter.capabilities():
            async with make() as counter:
                await counter.refuse(WORDS)
                seen["what is told of a refused login"] = await _of_a_refusal(counter)
    seen["the log"] = "\n".join(listener.lines)
    found = [where for where, text in seen.items() if any(secret in text for secret in secrets)]
    expect(not found, f"a secret of the account is in {', '.join(found)}")


async def _of_a_life(counter: Counter) -> Mapping[str, str]:
    async with Rig(counter) as rig:
        await rig.log_in()
        await rig.subscribe(*rig.pair)
        source = rig.source
        seen = {
            "the repr of the source": f"{source!r} {source!s}",
            "a command line": " ".join(sys.argv) + "".join(_of_children("cmdline")),
            "an environment": repr(dict(process_environment())) + "".join(_of_children("environ")),
        }
        if "drop" in counter.capabilities():
            await counter.drop()
            await rig.come(lambda: LineState.LOST in rig.sink.states, "LOST, after the connection was cut,")
    return seen | {"what the sink was told": _texts(rig)}


async def _of_a_refusal(counter: Counter) -> str:
    rig = Rig(counter)
    try:
        await rig.start()
        await rig.come(lambda: LineState.REFUSED in rig.sink.states, "REFUSED")
    except FeedgateError as error:
        return f"{error!r} {error.fields}"
    finally:
        await rig.close()
    return _texts(rig)


def _texts(rig: Rig) -> str:
    return "\n".join(str(value) for what, value in rig.sink.events if what not in ("tick", "raw"))


def _of_children(what: str) -> Sequence[str]:
    texts = []
    for pid in children_of(os.getpid()):
        with contextlib.suppress(OSError):
            texts.append(Path(f"/proc/{pid}/{what}").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return texts


@card(
    "FEED-15",
    "check() and the declared options agree with an account and options that work",
    needs=("login",),
    fix="name every option in FeedKind.options, and let check() find nothing about what does work",
)
async def _checks_agree(make: Callable[[], Counter]) -> None:
    async with make() as counter:
        options, kind = counter.options(), counter.kind
        strange = sorted(set(options) - set(kind.options))
        expect(not strange, f"FeedKind.options does not name {', '.join(strange)}, so the gateway would refuse it")
        findings = list(kind.check(counter.account(), options))
        expect(not findings, f"check() finds {findings[0]!r} about an account that works" if findings else "")
        async with Rig(counter) as rig:
            await rig.log_in()


CARDS = (_keeps_secrets, _checks_agree)
