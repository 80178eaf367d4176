"""``main``: parse, load, do, and an exit code that is 0 only when all is well."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final, TextIO

from gateway.clock import SystemClock
from gateway.errors import FeedgateError
from gateway.loader import Plugins
from runbook.app import Loaded, Runbook, load
from runbook.app.builtin import builtin
from runbook.audit import commands as audit_commands
from runbook.cli import demo, serving
from runbook.cli import parser as parsers
from runbook.cli.asking import files_of
from runbook.cli.logs import Logs, logs
from runbook.cli.running import act, run_job
from runbook.cli.telling import Teller
from runbook.hookspecs import ActionKind
from runbook.model import Exit
from runbook.runner import collect_kinds
from runbook.schedule import commands as jobs_commands
from runbook.schedule.windows import MarketWindows
from runbook.settings.sessions import read_sessions

log = logging.getLogger(__name__)

_INTERRUPTED: Final = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns its exit code; errors are one message on stderr."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        args = _parsed(words)
        with logs(debug=bool(getattr(args, "debug", False))) as made:
            code = _guarded(args, made)
    except KeyboardInterrupt:
        return _INTERRUPTED
    return _flushed(code)


def _guarded(args: argparse.Namespace, made: Logs) -> int:
    try:
        return _dispatch(args, made)
    except FeedgateError as error:
        return _failed(str(error), int(error.exit_code) or int(Exit.ERROR))
    except BrokenPipeError:
        return int(Exit.ERROR)
    except Exception as error:
        log.exception("the command broke")
        return _failed(
            f"{type(error).__name__}: {error}; this is an error of the runbook, its log has more", Exit.ERROR
        )


def kinds_to_show() -> Mapping[str, ActionKind]:
    """The built-in actions, in the order of the help."""
    return collect_kinds(None, builtin(None)[0]).by_name


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """Plugins are imported only for a command that is not built in, and for the list of all."""
    kinds = kinds_to_show()
    known = parsers.build(kinds)
    command = next((word for word in words if not word.startswith("-")), None)
    if command in _commands(known) or "--version" in words:
        return known.parse_args(words)
    with contextlib.redirect_stderr(io.StringIO()):  # what is wrong with a plugin is said when it is used
        found = _with_plugins(words)
    return (parsers.build(found) if set(found) - set(kinds) else known).parse_args(words)


def _with_plugins(words: Sequence[str]) -> Mapping[str, ActionKind]:
    """All actions, without those of blocked plugins; the built-in ones alone when the settings cannot be read."""
    early = parsers.Parser(add_help=False)
    parsers.settings_of(early)
    early.add_argument("--profile")
    modules, _ = builtin(None)
    manager = None
    with contextlib.suppress(FeedgateError, SystemExit):
        loaded = load(files_of(early.parse_known_args(words)[0]))
        if loaded.refusal is None:
            manager = Plugins.load(blocked=loaded.settings.plugins_blocked).manager
    return collect_kinds(manager, modules).by_name


def _commands(parser: argparse.ArgumentParser) -> set[str]:
    return {
        name
        for action in parser._actions  # noqa: SLF001 - argparse has no other way to ask
        if isinstance(action, argparse._SubParsersAction)  # noqa: SLF001 - argparse has no other way to ask
        for name in action.choices
    }


def _dispatch(args: argparse.Namespace, made: Logs) -> int:
    group = getattr(args, "group", "")
    if group == "demo":
        return demo.demo(args)
    loaded = load(files_of(args))
    if group == "audit":
        return _audit(args, loaded)
    if group == "serve":
        return serving.serve(args, loaded, made, sys.stdout)
    if group == "jobs" and args.jobs_command is None:
        return _jobs(args, loaded)
    return asyncio.run(_run(args, loaded, made))


async def _run(args: argparse.Namespace, loaded: Loaded, made: Logs) -> int:
    runbook = Runbook(loaded)
    made.into(loaded.runbook.log_dir, runbook.masker, runbook.labels)
    log.info("command %s", " ".join(filter(None, (args.command, getattr(args, "second", None)))))
    teller = Teller(sys.stdout, as_json=bool(args.json), debug=bool(getattr(args, "debug", False)))
    try:
        do = run_job if getattr(args, "group", "") == "jobs" else act
        return await do(runbook, args, teller, os.getuid())
    finally:
        await runbook.aclose()


def _audit(args: argparse.Namespace, loaded: Loaded) -> int:
    key = loaded.runbook.audit_key
    place = audit_commands.Place(
        directory=loaded.runbook.audit_directory,
        keys=(key.get_secret_value().encode(),) if key else (),
        log_dir=loaded.views_dir,
    )
    return int(audit_commands.run(args, place, sys.stdout))


def _jobs(args: argparse.Namespace, loaded: Loaded) -> int:
    if loaded.refusal is not None:  # the calendar's own file is among them
        raise loaded.refusal
    from gateway.calendar import load_calendar  # noqa: PLC0415 - brings pandas, which no other command here needs

    days = loaded.settings.calendar
    place = jobs_commands.Place(
        windows=MarketWindows(
            load_calendar(days.overrides, cache=days.cache_directory),
            hours=read_sessions(loaded.runbook.session_config),
        ),
        settings=loaded.runbook.schedule,
        state_dir=loaded.runbook.state_dir,
        clock=SystemClock(),
    )
    return int(jobs_commands.run(args, place, sys.stdout))


def _failed(text: str, code: int) -> int:
    with contextlib.suppress(OSError):
        print(f"runbook: {text}", file=sys.stderr)  # noqa: T201 - the command's answer
    return int(code)


def _flushed(code: int, out: TextIO | None = None) -> int:
    """A reader that went away is no failure of the command; Python would make one of it at the end."""
    stream = sys.stdout if out is None else out
    try:
        stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return code
