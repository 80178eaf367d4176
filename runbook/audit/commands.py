"""``runbook audit verify|list|show|export|head|reindex|views``.

Each takes parsed values and a text stream, and gives the exit code. None raises AuditError for what it found; all may
raise it for what cannot be read.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from runbook.audit.chain import Entry
from runbook.audit.errors import AuditError
from runbook.audit.export import as_json, csv_lines, json_lines
from runbook.audit.files import locked, records_after
from runbook.audit.index import AuditIndex
from runbook.audit.query import Query
from runbook.audit.verify import verify
from runbook.audit.views import ViewWriter, render
from runbook.model import Exit

_FILTERS: Final = {
    "since": "from this time on: 2026-11-21 or 2026-11-21T08:45:00+08:00",
    "until": "before this time; a day alone is included",
    "event": "start, stop, exception, refused, note",
    "action": "name of the action: failover",
    "operator": "who asked",
    "trigger": "cli, api, page, schedule, watchdog",
    "session": "day, night, closed",
    "window": "day, night",
    "profile": "dev, test, live",
    "config": "primary, backup",
    "run": "id of a run",
    "text": "words in reason, message, parameters, …",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the audit is; from the settings."""

    directory: Path
    keys: Sequence[bytes] = ()
    """The key, and those before it after a rotation; for ``verify``."""
    log_dir: Path | None = None


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands; the chosen one is ``args.audit_command`` for :func:`run`."""
    commands = parser.add_subparsers(dest="audit_command", required=True, metavar="COMMAND")
    check = commands.add_parser("verify", help="is the audit what was written? exit 0 yes, 1 with warnings, 2 no")
    check.add_argument(
        "--expect",
        action="append",
        default=[],
        metavar="[NUMBER:]HASH",
        help="a head that was kept elsewhere; finds a cut-off end and a rewritten chain; may be repeated",
    )
    accept = "number of a `break` note that was looked into, or of the first sealed record; may be repeated"
    check.add_argument("--accept", action="append", default=[], type=int, metavar="NUMBER", help=accept)
    check.add_argument("--json", action="store_true", help="the report as JSON")
    listing = commands.add_parser("list", help="records, newest first")
    _add_filters(listing)
    listing.add_argument("--limit", type=int, default=50, help="most records to show (50)")
    listing.add_argument("--cursor", default="", help="go on where the page before ended")
    listing.add_argument("--json", action="store_true", help="JSON lines")
    one = commands.add_parser("show", help="one record, or both records of a run, in full")
    one.add_argument("what", help="number of a record or id of a run")
    out = commands.add_parser("export", help="all records that fit, newest first")
    _add_filters(out)
    out.add_argument("--format", choices=("csv", "json"), default="csv")
    out.add_argument("--bom", action="store_true", help="for spreadsheets that take no UTF-8 without it")
    commands.add_parser("head", help="NUMBER:HASH of the last record, for --expect")
    commands.add_parser("reindex", help="make the index anew from the files; verify first, it forgets")
    commands.add_parser("views", help="make the log files anew that are views of the audit")


def run(args: argparse.Namespace, place: Place, out: TextIO) -> int:
    """Do the chosen subcommand. Blocks. Raises AuditError (exit code 2) when the audit cannot be read."""
    if not place.directory.is_dir():
        raise AuditError(f"there is no audit in {place.directory}; nothing was recorded yet, or the setting is wrong")
    return _COMMANDS[args.audit_command](args, place, out)


def verify_command(args: argparse.Namespace, place: Place, out: TextIO) -> int:
    """Print the report. 0 intact, 1 intact with warnings, 2 tampered with."""
    report = verify(place.directory, expect=args.expect, key=place.keys, accept=args.accept)
    if args.json:
        out.write(json.dumps(report.as_json(), ensure_ascii=False, indent=2) + "\n")
        return report.exit_code
    out.writelines(f"{finding}\n" for finding in report.findings)
    verdict = ("INTACT", "INTACT, WITH WARNINGS", "TAMPERED WITH")[report.exit_code]
    sealed = f", {report.sealed} seals checked" if place.keys else ", no key given"
    out.write(
        f"{verdict}: {report.records} records ({report.first} to {report.last}) in {report.files} files{sealed}\n"
    )
    if report.ok and report.head:
        out.write(f"head {report.last}:{report.head}\n")
    return report.exit_code


def list_command(args: argparse.Namespace, place: Place, out: TextIO) -> int:
    """A line per record; the last line says how to go on when there are more."""
    index = _index(place)
    page = index.page(_query(args), cursor=args.cursor, limit=args.limit)
    if args.json:
        out.writelines(json_lines(page.entries))
    else:
        out.writelines(f"{line}\n" for entry in page.entries for line in render(entry))
        if page.next:
            out.write(f"… more: --cursor {page.next}\n")
    return Exit.OK


def show_command(args: argparse.Namespace, place: Place, out: TextIO) -> int:
    """Read from the files, not from the index. 2 when there is no such record."""
    with locked(place.directory, exclusive=False):
        after = int(args.what) - 1 if args.what.isdigit() else 0
        found = [entry for entry, _ in records_after(place.directory, after) if _is(entry, args.what)]
    out.writelines(json.dumps(as_json(entry), ensure_ascii=False, indent=2) + "\n" for entry in found)
    if not found:
        out.write(f"no record and no run is called {args.what}; `runbook audit list` shows them\n")
        return Exit.ERROR
    return Exit.OK


def export_command(args: argparse.Namespace, place: Place, out: TextIO) -> int:
    """Write CSV or JSON lines; memory does not grow with the audit. Open the stream with ``newline=""`` for CSV."""
    entries = _index(place).entries(_query(args))
    out.writelines(csv_lines(entries, bom=args.bom) if args.format == "csv" else json_lines(entries))
    return Exit.OK


def head_command(_args: argparse.Namespace, place: Place, out: TextIO) -> int:
    """``NUMBER:HASH`` of the last record in the files. 2 when there is none."""
    last: Entry | None = None
    with locked(place.directory, exclusive=False):
        for entry, _ in records_after(place.directory, 0):
            last = entry
    if last is None:
        out.write("the audit has no record\n")
        return Exit.ERROR
    out.write(f"{last.seq}:{last.hash}\n")
    return Exit.OK


def reindex_command(_args: argparse.Namespace, place: Place, out: TextIO) -> int:
    """Make the index anew."""
    out.write(f"{AuditIndex(place.directory).rebuild()} records in the index\n")
    return Exit.OK


def views_command(_args: argparse.Namespace, place: Place, out: TextIO) -> int:
    """Make the views anew."""
    if place.log_dir is None:
        raise AuditError("no log directory is set; give --log-dir")
    ViewWriter(place.directory, place.log_dir).rebuild()
    out.write(f"the views in {place.log_dir} are made anew\n")
    return Exit.OK


def _index(place: Place) -> AuditIndex:
    index = AuditIndex(place.directory)
    index.refresh()
    return index


def _is(entry: Entry, what: str) -> bool:
    return entry.record.run == what or (what.isdigit() and entry.seq == int(what))


def _add_filters(parser: argparse.ArgumentParser) -> None:
    for name, text in _FILTERS.items():
        parser.add_argument(f"--{name}", default="", help=text)
    parser.add_argument("--exit-code", type=int, default=None, help="exit code of the run")


def _query(args: argparse.Namespace) -> Query:
    return Query(exit_code=args.exit_code, **{name: getattr(args, name) for name in _FILTERS})


_COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace, Place, TextIO], int]]] = {
    "verify": verify_command,
    "list": list_command,
    "show": show_command,
    "export": export_command,
    "head": head_command,
    "reindex": reindex_command,
    "views": views_command,
}
