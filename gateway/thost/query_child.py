"""``python -m gateway.thost.query_child FD``: one instrument query in a process of its own.

Reads one JSON object from standard input (account, options), so that no secret is in the arguments or in the
environment; writes one JSON object to the file descriptor FD: ``{"rows": […]}`` or ``{"error": "…"}``.
"""

from __future__ import annotations

import os
import sys
import tempfile

import msgspec

from gateway.clock import SystemClock
from gateway.errors import FeedgateError
from gateway.leaving import leave_after
from gateway.thost.family import load
from gateway.thost.query import Job, Outcome
from gateway.thost.trader import TraderQuery


def answer(job: Job) -> Outcome:
    """Run the query. Errors of ours become text; any other exception ends the process."""
    with tempfile.TemporaryDirectory(prefix="feedgate-td-") as flow:
        try:
            module = load(job.trader, needs_locale=job.needs_locale)
            query = TraderQuery(module, job.account, job.timers, SystemClock(), job.columns)
            return Outcome(rows=query.run(flow))
        except FeedgateError as error:
            return Outcome(error=str(error))


def main(arguments: list[str]) -> int:
    """The process."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    outcome = answer(job)
    with os.fdopen(int(arguments[0]), "wb") as pipe:
        pipe.write(msgspec.json.encode(outcome))
    return 0


if __name__ == "__main__":
    leave_after(lambda: main(sys.argv[1:]))
