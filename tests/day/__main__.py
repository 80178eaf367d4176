"""``python -m tests.day``: plays the good day and the bad one, and prints each as a table.

``python -m tests.day DIRECTORY [good|bad]`` keeps everything in a directory, for a look at what went wrong.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.day.bad_day import BadDay
from tests.day.course import Course, Row, table
from tests.day.good_day import GoodDay
from tests.day.site import site

DAYS: Final[dict[str, type[GoodDay | BadDay]]] = {"good": GoodDay, "bad": BadDay}


def _told(row: Row) -> None:
    sys.stderr.write(f"{row.at}  {row.code:>3}  {row.what}  {row.seen}\n")
    sys.stderr.flush()


def main() -> int:
    """0 when both days went as they must."""
    with tempfile.TemporaryDirectory() as made:
        directory = Path(sys.argv[1]) if sys.argv[1:] else Path(made)
        for name, day in DAYS.items():
            if name not in (sys.argv[2:] or DAYS):
                continue
            began = time.monotonic()
            with site(directory / name) as place:
                course = Course(place, _told)
                day(place, course).play()
            sys.stdout.write(f"{table(course.rows)}\n\n")
            sys.stderr.write(f"the {name} day was played in {time.monotonic() - began:.0f} s\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
