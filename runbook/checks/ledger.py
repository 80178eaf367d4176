"""The gap ledger has a file that stays."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding
from runbook.checks.places import NETWORK, VOLATILE, existing, file_system, write_error


def check(inspection: Inspection) -> Sequence[Finding]:
    """Opens an existing file for reading, and tries whether its directory can be written."""
    path = inspection.settings.ledger.path
    if path is None:
        what = "FEEDGATE_LEDGER__PATH is not set: gaps are forgotten when the gateway ends"
        return (inspection.lacking(what, "set FEEDGATE_LEDGER__PATH=state/gaps.sqlite"),)
    found = file_system(path)
    if found is not None and found.type in NETWORK | VOLATILE:
        return (
            inspection.lacking(
                f"the gap ledger {path} is on {found.type} at {found.mount}, which loses data or locks",
                "set FEEDGATE_LEDGER__PATH to a file on a local disk",
            ),
        )
    if not path.parent.is_dir():
        above = existing(path.parent)
        error = write_error(above) if above.is_dir() else "Not a directory"
        what = f"the directory of the gap ledger {path} does not exist"
        return (
            inspection.lacking(f"{what}" + (f" ({above}: {error})" if error else ""), f"mkdir -m 700 -p {path.parent}"),
        )
    if error := write_error(path.parent):
        return (
            inspection.lacking(
                f"the gap ledger {path} cannot be written: {error}", f"ls -ld {path.parent}; correct its owner"
            ),
        )
    if path.exists() and (said := _read_error(path)):
        fix = f"move it away (mv {path} {path}.bad); the gateway makes a new one"
        return (inspection.lacking(f"the gap ledger {path} cannot be used: {said}", fix),)
    return (Finding.ok(f"the gap ledger {path} can be written"),)


def _read_error(path: Path) -> str:
    if not path.is_file():
        return "it is no file"
    if path.stat().st_size == 0:
        return ""
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=1.0)
        ) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        # another process writes just now, which is a good sign
        return "" if "locked" in str(error) else str(error)
    except sqlite3.DatabaseError as error:
        return str(error)
    return ""


CHECK = Check(name="ledger", title="Gap ledger", run=check)
