"""The command: once and away, or the view until somebody quits."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from gateway.client import Client, connect
from gateway.clock import Clock, SystemClock
from gateway.errors import FeedgateError
from gateway.tasks import TaskOwner
from gateway.terminal.tail import discard
from gateway.terminal.top.asking import Asking
from gateway.terminal.top.export import export, json_text
from gateway.terminal.top.facts import Facts
from gateway.terminal.top.telling import facts_of
from gateway.terminal.top.text import snapshot


class NoViewError(FeedgateError):
    """The view needs something that is not installed."""

    code = "environment"
    exit_code = 11


async def top(
    url: str | Sequence[str],
    *,
    name: str,
    once: bool,
    file: Path | None,
    as_json: bool,
    out: TextIO,
    err: TextIO,
    clock: Clock | None = None,
    **auth: Any,
) -> int:
    """Show gateway ``name``: the view on a terminal, else (or with ``once``, ``file``, ``as_json``) one snapshot.

    Returns 0 when it is ready, 1 with warnings, 2 when it is not ready or does not answer, which ``err`` explains; of
    the view always 0. ``auth`` as for :func:`gateway.client.connect`. Raises ExportError and NoViewError.
    """

    def connecting() -> AbstractAsyncContextManager[Client]:
        return connect(url, name=name, **auth)

    asking = Asking(connecting, clock or SystemClock(), name)
    if once or file is not None or as_json or not out.isatty():
        facts = facts_of(await asking.once())
        return tell(facts, shown=once or as_json or file is None, file=file, as_json=as_json, out=out, err=err)
    return await _view(asking)


def tell(facts: Facts, *, shown: bool, file: Path | None, as_json: bool, out: TextIO, err: TextIO) -> int:
    """Print and write one snapshot; the exit code. Raises ExportError, after it printed."""
    if shown:
        if isinstance(out, TextIOWrapper):
            out.reconfigure(errors="replace")  # an old locale has no signs, and a snapshot without them is one still
        try:
            out.write(json_text(facts) if as_json else snapshot(facts))
            out.flush()
        except BrokenPipeError:
            discard(out)
    err.writelines(f"gateway: {reason}\n" for reason in facts.not_ready)
    if file is not None:
        export(facts, file)
        err.write(f"snapshot written to {file}\n")
    return facts.exit_code


async def _view(asking: Asking) -> int:
    try:
        # here, because nobody but the view needs Textual, which may not be installed
        from gateway.terminal.top.app import TopApp  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        raise NoViewError(
            "the live view needs Textual: pip install 'feedgate[top]'; without it: gateway top --once"
        ) from None
    app, tasks = TopApp(asking.look), TaskOwner()
    with _quiet_log(), _ending_on(signal.SIGTERM, app.exit):
        tasks.start(asking.run(), "ask the gateway")
        try:
            await app.run_async()
        finally:
            await tasks.aclose()
    return app.return_code or 0


@contextmanager
def _quiet_log() -> Iterator[None]:
    """Log lines would be written across the view, which tells the same troubles itself."""
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers[:] = [logging.NullHandler()]
    try:
        yield
    finally:
        root.handlers[:] = before


@contextmanager
def _ending_on(number: signal.Signals, end: Callable[[], object]) -> Iterator[None]:
    """A command owns its loop, so it may have signal handlers: the terminal is to be left as it was."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        loop.remove_signal_handler(number)
