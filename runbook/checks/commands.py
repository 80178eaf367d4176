"""``runbook validate-env`` and ``runbook doctor`` as commands, also where the settings cannot be read at all.

The runner needs readable settings to begin a run with. These do not: they read the settings themselves, and what is
wrong with them is a finding beside the others.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TextIO

from gateway.clock import Clock
from runbook.checks.model import Check
from runbook.checks.reading import read_inspection
from runbook.checks.registry import CHECKS, MACHINE_CHECKS, UnknownCheckError, chosen
from runbook.checks.running import run_checks
from runbook.model import Exit

PROFILES: Final = ("dev", "test", "live")


def add_arguments(parser: argparse.ArgumentParser, *, of_environment: bool) -> None:
    """The flags of ``validate-env`` (``of_environment``) or ``doctor``."""
    parser.add_argument("--profile", choices=PROFILES, help="in live, what is missing is an error; default: settings")
    parser.add_argument("--config", type=Path, help="TOML file with settings")
    parser.add_argument(
        "--source",
        "--env-file",
        type=Path,
        action="append",
        default=[],
        dest="env_files",
        metavar="FILE",
        help="file with variables, as .env.live; may be given again, a later one wins",
    )
    if of_environment:
        parser.add_argument("--require-backup", action="store_true", help="a feed without a backup account is an error")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="run this check; may be given again"
    )
    parser.add_argument("--list", action="store_true", help="say which checks there are, and run none")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--fix",
        action="store_true",
        help="make missing directories (0700), close secret files (0600), build the locale",
    )


def validate_env_command(
    args: argparse.Namespace, out: TextIO, clock: Clock, environ: Mapping[str, str] | None = None
) -> int:
    """Print the report. 0 ok, 1 warnings only, 11 errors, 64 for a check that there is not."""
    return _run(args, out, clock, environ, CHECKS, Exit.ENVIRONMENT)


def doctor_command(
    args: argparse.Namespace, out: TextIO, clock: Clock, environ: Mapping[str, str] | None = None
) -> int:
    """Print the report. 0 ok, 1 warnings only, 2 errors, 64 for a check that there is not."""
    return _run(args, out, clock, environ, MACHINE_CHECKS, Exit.ERROR)


def _run(
    args: argparse.Namespace,
    out: TextIO,
    clock: Clock,
    environ: Mapping[str, str] | None,
    all_checks: Sequence[Check],
    error: Exit,
) -> int:
    try:
        checks = chosen(all_checks, args.only)
    except UnknownCheckError as unknown:
        out.write(f"{unknown}\n")
        return Exit.USAGE
    if args.list:
        _list(checks, out, as_json=args.json)
        return Exit.OK
    inspection = read_inspection(
        clock,
        profile=args.profile,
        config=args.config,
        env_files=args.env_files,
        environ=environ,
        require_backup=getattr(args, "require_backup", False),
    )
    report = asyncio.run(run_checks(inspection, checks, fix=args.fix))
    code = report.exit_code(error)
    if args.json:
        out.write(json.dumps(report.as_json() | {"exit_code": int(code)}, ensure_ascii=False, indent=2) + "\n")
    else:
        out.writelines(f"{line}\n" for line in report.lines())
    return code


def _list(checks: Sequence[Check], out: TextIO, *, as_json: bool) -> None:
    if as_json:
        rows = [{"name": check.name, "title": check.title, "fix": check.fix is not None} for check in checks]
        out.write(json.dumps(rows, ensure_ascii=False, indent=2) + "\n")
        return
    out.writelines(f"{check.name:14} {check.title}{' (--fix)' if check.fix else ''}\n" for check in checks)
