"""All subcommands and their flags, made from the action kinds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import gateway
from runbook.audit import commands as audit_commands
from runbook.cli import demo, serving
from runbook.cli.fields import add_fields
from runbook.hookspecs import ActionKind
from runbook.model import Exit
from runbook.schedule import commands as jobs_commands

PLACES: Final = {
    "secrets-pull": ("secrets", "pull"),
    "secrets-clear": ("secrets", "clear"),
    "incident": ("incident", "new"),
}
"""Actions that are typed as two words."""
ALIASES: Final = {"log-scan": ("logscan",)}
"""Other spellings that operators type."""
ELSEWHERE: Final = frozenset({"job-pause", "job-resume"})
"""Actions that have a command of their own: ``runbook jobs pause``."""
_GROUPS: Final = {"secrets": "secrets from Vault: pull, clear", "incident": "reports of incidents: new"}
OTHERS: Final = ("stop", "restart", "failover", "failback", "drill")
"""Flags of ``runbook start`` that mean another command, as ``start_live_env.sh`` has them."""
COMMON: Final = (
    *("window", "profile", "config", "reason", "operator", "idempotency_key", "dry_run", "mock", "debug", "json"),
    *("settings", "env_file", "log_dir"),
)
"""What the common flags are called in the parsed arguments. A parameter of the same name is served by them."""


class Parser(argparse.ArgumentParser):
    """argparse with the contract's exit code for wrong usage, and no abbreviations: scripts must not guess."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("allow_abbrev", False)
        super().__init__(*args, **options)

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(f"{self.prog}: {message}", file=sys.stderr)  # noqa: T201 - the command's answer
        raise SystemExit(int(Exit.USAGE))


def build(kinds: Mapping[str, ActionKind]) -> Parser:
    """The whole parser. ``args.kind`` is the action's name; audit and jobs have ``args.group`` in place of it."""
    root = Parser(prog="runbook", description="Operates the gateway: start, check, switch, drill, record.")
    root.add_argument("--version", action="version", version=f"feedgate {gateway.__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    groups: dict[str, argparse._SubParsersAction[Parser]] = {}
    for name, kind in kinds.items():
        if name in ELSEWHERE:
            continue
        first, _, second = " ".join(PLACES.get(name, (name,))).partition(" ")
        if not second:
            also = ALIASES.get(first, ())
            _action(commands.add_parser(first, aliases=also, help=_title(kind), description=_described(kind)), kind)
            continue
        if first not in groups:
            group = commands.add_parser(first, help=_GROUPS.get(first, ""))
            groups[first] = group.add_subparsers(dest="second", required=True, metavar="COMMAND", parser_class=Parser)
        _action(groups[first].add_parser(second, help=_title(kind), description=_described(kind)), kind)
    _audit(commands.add_parser("audit", help="the audit: verify, list, show, export, …"))
    _jobs(commands.add_parser("jobs", help="jobs of the trading calendar: list, simulate, pause, resume, run"))
    serve = commands.add_parser("serve", help="the console and the API, with the jobs, until it is stopped")
    serving.configure(serve)
    settings_of(serve)
    demo.configure(commands.add_parser("demo", help="two lines of a synthetic market, and their console"))
    return root


def settings_of(parser: argparse.ArgumentParser, *, quiet: bool = False) -> None:
    """The flags that say where settings and logs are. ``quiet``: unset they leave no mark, for nested commands."""
    unset: Any = argparse.SUPPRESS if quiet else None
    group = parser.add_argument_group("settings and logs")
    group.add_argument("--settings", type=Path, metavar="FILE", default=unset, help="TOML file of gateway and runbook")
    group.add_argument(
        "--env-file",
        type=Path,
        action="append",
        metavar="FILE",
        default=unset,
        help="file with variables; may be repeated, the last wins; unset: .env.PROFILE of --profile or "
        "FEEDGATE_PROFILE, if it is there",
    )
    group.add_argument(
        "--log-dir", type=Path, metavar="DIR", default=unset, help="directory of the logs; unset: as the settings say"
    )


def nested(parser: argparse.ArgumentParser) -> Iterable[argparse.ArgumentParser]:
    """The parsers of its subcommands."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - argparse has no other way to ask
            yield from action.choices.values()


def _title(kind: ActionKind) -> str:
    return kind.title.replace("%", "%%").lower()


def _described(kind: ActionKind) -> str:
    said = ["changes something live" if kind.changes else "changes nothing live"]
    said.append("one such action at a time" if kind.exclusive else "runs beside others")
    return f"{kind.title}: {', '.join(said)}; limit {kind.timeout_s:g} s.".replace("%", "%%")


def _action(parser: argparse.ArgumentParser, kind: ActionKind) -> None:
    parser.set_defaults(kind=kind.name)
    add_fields(parser.add_argument_group("parameters"), kind, taken=COMMON)
    if kind.name == "start":
        other = parser.add_mutually_exclusive_group()
        for name in OTHERS:
            other.add_argument(
                flag := f"--{name}",
                dest="kind",
                action="store_const",
                const=name,
                help=f"the same as runbook {flag.removeprefix('--')}",
            )
    _common(parser)


def _common(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("every command")
    group.add_argument("--window", choices=("day", "night"), help="session that is meant")
    group.add_argument(
        "--profile", choices=("dev", "test", "live"), help="what this is for; unset: as the settings say"
    )
    group.add_argument("--config", choices=("primary", "backup"), help="account; unset: the one in use")
    group.add_argument("--reason", metavar="TEXT", help="why, for the audit; unset in live: operator command")
    group.add_argument("--operator", metavar="NAME", help="who, for the audit; unset: the login name")
    group.add_argument("--dry-run", action="store_true", help="say what would be done")
    group.add_argument("--mock", action="store_true", help="the mock environment: a synthetic market, no account")
    group.add_argument("--debug", action="store_true", help="log at DEBUG, the gateway too")
    group.add_argument("--json", action="store_true", help="print the whole result as JSON, and nothing else")
    group.add_argument("--idempotency-key", metavar="KEY", help="a second run with the same key is not done again")
    settings_of(parser)


def _audit(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(group="audit")
    audit_commands.configure(parser)
    settings_of(parser)
    for one in nested(parser):
        settings_of(one, quiet=True)


def _jobs(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(group="jobs")
    jobs_commands.configure(parser)
    settings_of(parser)
    for one in nested(parser):
        settings_of(one, quiet=True)
