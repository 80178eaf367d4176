"""The command ``gateway``: run, demo, plugins, check, new-plugin, sessions, gaps, tail, top.

Exit codes as in the operators' contract: 0, 2 error, 11 to 14 start stages, 64 usage; also 1 when a plugin failed to
load (``plugins``), a card failed (``check``) or the gateway warns (``top --once``), and 130 when the command was
interrupted before it ran.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import gateway
from gateway.clock import SystemClock
from gateway.errors import FeedgateError
from gateway.model import SHANGHAI
from gateway.terminal.logs.program import ProgramLogs

_USAGE = 64
_INTERRUPTED = 130
_LOCAL_NATS = "nats://127.0.0.1:4222"


class _Parser(argparse.ArgumentParser):
    """argparse with the contract's exit code for wrong usage."""

    def error(self, message: str) -> None:  # type: ignore[override]  # argparse says NoReturn; exit() does not return
        self.print_usage(sys.stderr)
        self.exit(_USAGE, f"{self.prog}: {message}\n")


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def _not_negative(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 on")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 on")
    return value


def parser() -> argparse.ArgumentParser:
    """All commands and their flags."""
    root = _Parser(prog="gateway", description="Feedgate: many market-data sources in, one trustworthy stream out.")
    root.add_argument("--version", action="version", version=f"feedgate {gateway.__version__}")
    root.add_argument(
        "--log-level",
        choices=("DEBUG", "INFO", "WARNING", "ERROR"),
        help="default: log.level of the settings for run, WARNING for the others",
    )
    commands = root.add_subparsers(dest="command", required=True, parser_class=_Parser)

    _add_run(commands)

    demo = commands.add_parser("demo", help="two lines of a synthetic or recorded market, nothing to configure")
    demo.add_argument("--seconds", type=_positive, help="end by itself after so many seconds")
    told = "then SIGKILL the active line's process; 0 = never"
    demo.add_argument("--kill", type=_not_negative, default=0.0, metavar="SECONDS", help=told)
    demo.add_argument("--json", action="store_true", help="no view; print the summary as one JSON line")
    demo.add_argument(
        "--rate", type=_not_negative, default=5000.0, help="ticks a second of the market; 0 = as fast as possible"
    )
    demo.add_argument("--contracts", type=_count, default=2500, help="contracts of the synthetic market")
    demo.add_argument("--replay", type=Path, metavar="FILE", help="play recorded CTP ticks (.csv, .csv.gz) instead")
    demo.add_argument("--speed", type=_not_negative, default=1.0, help="with --replay: multiple of the recorded speed")

    plugins = commands.add_parser("plugins", help="what is loaded, and why something is not")
    plugins.add_argument("--json", action="store_true")

    check = commands.add_parser("check", help="ask a plugin every card of the conformance suite")
    check.add_argument("plugin", metavar="PLUGIN", help="name of its entry point, distribution or module")
    check.add_argument("--json", action="store_true", help="every card, as one JSON object")

    new = commands.add_parser("new-plugin", help="write the project of a feed plugin, working and tested")
    new.add_argument("name", metavar="NAME", help="of the feed: lower-case letters, digits, single _")
    new.add_argument("--directory", type=Path, metavar="DIR", help="where NAME/ is made (default: here)")

    sessions = commands.add_parser("sessions", help="trading sessions of a day: gateway sessions --date 2026-09-30")
    sessions.add_argument("--date", type=date.fromisoformat, help="YYYY-MM-DD (default: today in Shanghai)")
    sessions.add_argument("--product", action="append", default=[], help="rb, m_o, IO, SSE_O …; may be repeated")
    sessions.add_argument(
        "--overrides",
        type=Path,
        metavar="FILE",
        help="TOML with changes to the calendar (default: calendar.overrides of the settings)",
    )
    sessions.add_argument("--config", type=Path, help="TOML file of the gateway, for [calendar]")
    sessions.add_argument("--env-file", type=Path, action="append", default=[], help="file with variables")
    sessions.add_argument("--json", action="store_true")

    gaps = commands.add_parser("gaps", help="when no line carried a wanted contract: gateway gaps --date 2026-09-30")
    gaps.add_argument("--date", help="trading day, YYYY-MM-DD or YYYYMMDD (default: the latest that the ledger knows)")
    gaps.add_argument("--feed", help="of this feed alone")
    gaps.add_argument("--db", type=Path, metavar="FILE", help="the ledger (default: ledger.path of the settings)")
    gaps.add_argument("--config", type=Path, help="TOML file of the gateway, for [ledger]")
    gaps.add_argument("--env-file", type=Path, action="append", default=[], help="file with variables")
    form = gaps.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="every field, as one JSON object")
    form.add_argument("--csv", action="store_true", help="every field, a row a contract")

    tail = commands.add_parser("tail", help="show published ticks: gateway tail 'SHFE.rb*'")
    tail.add_argument("patterns", nargs="+", metavar="EXCHANGE.CODE", help="shell globs; quote them")
    tail.add_argument("--url", help="NATS server (default: NATS_URL, or nats://127.0.0.1:4222)")
    tail.add_argument("--config", type=Path, help="TOML file of the gateway, for [bus]")
    tail.add_argument(
        "--env-file", type=Path, action="append", default=[], help="file with NATS_USER, NATS_PASSWORD, NATS_TOKEN ..."
    )
    tail.add_argument("--name", default="feedgate", help="name of the gateway on that server")
    tail.add_argument("--plain", action="store_true", help="a line a tick (default when not on a terminal)")
    tail.add_argument("--json", action="store_true", help="a JSON object a tick")
    tail.add_argument("--count", type=_count, help="end after so many ticks")

    _add_top(commands)
    return root


def _add_run(commands: argparse._SubParsersAction[_Parser]) -> None:
    run = commands.add_parser("run", help="run the gateway with your accounts until Ctrl-C or SIGTERM")
    run.add_argument("--config", type=Path, help="TOML file (docs/settings.md)")
    run.add_argument(
        "--env-file", type=Path, action="append", default=[], help="file with variables; may be repeated, the last wins"
    )
    run.add_argument("--view", action=argparse.BooleanOptionalAction, help="live view (default: on a terminal)")
    run.add_argument("--json", action="store_true", help="print the summary as one JSON line at the end")
    run.add_argument(
        "--log-format",
        choices=("text", "json"),
        help="text on stderr, or JSON lines on stdout and nothing else there (default: log.format of the settings)",
    )
    run.add_argument(
        "--log-file", type=Path, metavar="FILE", help="JSON lines there too; it turns over by size and day"
    )


def _add_top(commands: argparse._SubParsersAction[_Parser]) -> None:
    top = commands.add_parser("top", help="a running gateway at a glance, live or as one snapshot")
    top.add_argument("--url", help="NATS server (default: NATS_URL, or nats://127.0.0.1:4222)")
    top.add_argument("--name", default="feedgate", help="name of the gateway on that server")
    top.add_argument("--config", type=Path, help="TOML file of the gateway, for [bus]")
    top.add_argument(
        "--env-file", type=Path, action="append", default=[], help="file with NATS_USER, NATS_PASSWORD, NATS_TOKEN ..."
    )
    top.add_argument(
        "--once",
        action="store_true",
        help="print one snapshot; exit code 0 ready, 1 with warnings, 2 not ready (default when not on a terminal)",
    )
    top.add_argument(
        "--export",
        type=Path,
        metavar="FILE",
        help="write one snapshot to FILE, as JSON when it ends in .json; print it only with --once",
    )
    top.add_argument("--json", action="store_true", help="print one snapshot as JSON")


async def _dispatch(args: argparse.Namespace, logs: ProgramLogs) -> int:
    # imported per command, so that `gateway plugins` does not pay for rich, nor `tail` for pydantic
    if args.command == "run":
        from gateway.terminal.run import run

        return await run(args.config, args.env_file, view=args.view, as_json=args.json, logs=logs)
    if args.command == "demo":
        from gateway.terminal.run import demo, demo_settings

        settings = demo_settings(rate=args.rate, contracts=args.contracts, replay=args.replay, speed=args.speed)
        return await demo(settings, seconds=args.seconds, kill_after=args.kill or None, as_json=args.json)
    if args.command in ("plugins", "check", "new-plugin"):
        return _plugins(args)
    if args.command == "sessions":
        from gateway.settings import load_settings
        from gateway.settings.process import cache_home
        from gateway.terminal.sessions import show_sessions

        known = None if args.overrides else load_settings(args.config, args.env_file).calendar
        overrides = known.overrides if known else args.overrides
        cache = known.cache_directory if known else cache_home()
        day = args.date or datetime.fromtimestamp(SystemClock().wall_ns() / 1e9, SHANGHAI).date()
        return show_sessions(day, args.product, sys.stdout, as_json=args.json, overrides=overrides, cache=cache)
    if args.command == "gaps":
        from gateway.settings import load_settings
        from gateway.terminal.gaps import ledger_file, show_gaps

        db = ledger_file(args.db or load_settings(args.config, args.env_file).ledger.path)
        return show_gaps(args.date, db=db, feed=args.feed, as_json=args.json, as_csv=args.csv)
    return await _watch(args)


def _plugins(args: argparse.Namespace) -> int:
    """The commands of those who write plugins."""
    if args.command == "check":
        from gateway.terminal.check import show_check

        return show_check(args.plugin, as_json=args.json, quiet=args.log_level is None, out=sys.stdout)
    if args.command == "new-plugin":
        from gateway.terminal.new_plugin.command import new_plugin

        return new_plugin(args.name, args.directory or Path(), sys.stdout)
    from gateway.settings import load_settings
    from gateway.terminal.plugins import show_plugins

    return show_plugins(blocked=load_settings().plugins_blocked, as_json=args.json)


async def _watch(args: argparse.Namespace) -> int:
    """The commands that look at a gateway which runs elsewhere."""
    from gateway.bus.opening import nats_login
    from gateway.settings import load_settings

    bus = load_settings(args.config, args.env_file).bus
    url = args.url or bus.urls or _LOCAL_NATS
    if args.command == "top":
        from gateway.terminal.top.command import top

        return await top(
            url,
            name=args.name,
            **nats_login(bus),
            once=args.once,
            file=args.export,
            as_json=args.json,
            out=sys.stdout,
            err=sys.stderr,
        )
    from gateway.terminal.tail import tail

    return await tail(
        url,
        args.patterns,
        name=args.name,
        **nats_login(bus),
        plain=args.plain,
        count=args.count,
        as_json=args.json,
        out=sys.stdout,
        err=sys.stderr,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns its exit code; errors are one message on stderr, without a traceback."""
    args = parser().parse_args(argv)
    try:
        with ProgramLogs(args.log_level, getattr(args, "log_format", None), getattr(args, "log_file", None)) as logs:
            return asyncio.run(_dispatch(args, logs))
    except FeedgateError as error:
        print(f"gateway: {error}", file=sys.stderr)  # noqa: T201 - this is the command's answer
        return error.exit_code
    except KeyboardInterrupt:
        # Ctrl-C is how one leaves a tail; for the others it came before they could listen for it
        return 0 if args.command == "tail" else _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
