"""The Python version, and whether it runs as the user it should."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from runbook.checks.inspection import Inspection
from runbook.checks.model import Check, Finding

OLDEST: Final = (3, 11)
NEWEST_TESTED: Final = (3, 13)


def check(inspection: Inspection) -> Sequence[Finding]:
    """Of this process; line processes use the same program."""
    return tuple(judge(inspection, sys.version_info[:2], platform.system(), os.geteuid()))


def judge(inspection: Inspection, version: tuple[int, ...], system: str, user: int) -> Iterator[Finding]:
    """What version, system and user id mean."""
    what = f"Python is {'.'.join(map(str, version))} ({sys.executable})"
    if version < OLDEST:
        yield Finding.error(what, "install Python 3.11 or newer, and make the virtual environment anew")
    elif version > NEWEST_TESTED:
        yield Finding.warning(f"{what}, newer than any that was tested", "use Python 3.11, 3.12 or 3.13")
    else:
        yield Finding.ok(what)
    if system != "Linux":
        yield inspection.lacking(
            f"this is {system}: children do not end with their parent, and vendor libraries may be missing", "use Linux"
        )
    if inspection.live and user == 0:
        yield Finding.warning("this is root, and nothing here needs that", "run it as a user of its own")


CHECK = Check(name="python", title="Python and platform", run=check)
