"""``runbook serve``: the console in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from gateway.errors import FeedgateError
from runbook.app import Loaded, Runbook
from runbook.cli.logs import Logs
from runbook.model import Exit

if TYPE_CHECKING:
    from runbook.web.serving import Serving


log = logging.getLogger(__name__)


class MissingError(FeedgateError):
    """A package that only the console needs is not installed."""

    code = "missing"
    exit_code = Exit.ENVIRONMENT


@contextmanager
def missing_package() -> Iterator[None]:
    """Raises MissingError for an import of a package that is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith(("runbook", "gateway")):
            raise
        raise MissingError(f"the console needs the package {error.name}; pip install 'feedgate[runbook]'") from None


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.set_defaults(group="serve")
    parser.add_argument("--host", metavar="ADDRESS", help="address to listen on; unset: as the settings say")
    parser.add_argument("--port", type=int, metavar="PORT", help="port; 0: a free one; unset: as the settings say")
    parser.add_argument("--no-jobs", action="store_true", help="do not run jobs by the calendar; a console alone")
    parser.add_argument("--mock", action="store_true", help="the mock environment: a synthetic market, no account")
    parser.add_argument("--debug", action="store_true", help="log at DEBUG")
    parser.add_argument(
        "--log-format",
        choices=("text", "json"),
        help="json: records as JSON lines on stdout, and nothing else there; unset: log.format of the settings",
    )


def serve(args: argparse.Namespace, loaded: Loaded, made: Logs, out: TextIO) -> int:
    """Until SIGTERM or SIGINT. Raises FeedgateError when it cannot begin."""
    if loaded.refusal is not None:
        raise loaded.refusal
    with missing_package():
        from runbook.web import serving  # noqa: PLC0415 - no other command needs a web server

    records = (args.log_format or loaded.settings.log.format) == "json"

    def ready(told: Serving) -> None:
        mock = " (mock environment)" if loaded.mock else ""
        if records:
            log.info("console %s; access: %s; jobs: %s%s", told.url, told.access, told.jobs, mock)
            return
        out.write(f"console  {told.url}{mock}\naccess   {told.access}\njobs     {told.jobs}\nCtrl-C ends it.\n")
        out.flush()

    wanted = serving.Wanted(host=args.host, port=args.port, jobs=not args.no_jobs)
    runbook = Runbook(loaded)
    made.into(loaded.runbook.log_dir, runbook.masker, runbook.labels, records_on_stdout=records, off_loop=True)
    asyncio.run(serving.serve(runbook, wanted, ready))
    return int(Exit.OK)
