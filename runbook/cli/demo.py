"""``runbook demo``: the gateway's demo, with the console."""

from __future__ import annotations

import argparse
import asyncio

from runbook.cli.serving import missing_package


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.set_defaults(group="demo")
    parser.add_argument("--port", type=int, metavar="PORT", help="port of the console; unset: 9180, or a free one")
    parser.add_argument("--seconds", type=float, metavar="SECONDS", help="end by itself after so many seconds")
    parser.add_argument(
        "--kill", type=float, default=0.0, metavar="SECONDS", help="then SIGKILL the active line's process; 0: never"
    )
    parser.add_argument(
        "--profile",
        choices=("sim", "both"),
        default="sim",
        help="sim: two lines of a synthetic market; both: the plugins CTP and SOPT, four lines, at stand-ins for their "
        "counters",
    )
    parser.add_argument(
        "--rate", type=float, default=5000.0, metavar="RATE", help="ticks a second of the market; not with both"
    )
    parser.add_argument(
        "--contracts", type=int, default=2500, metavar="COUNT", help="contracts of the market; not with both"
    )
    parser.add_argument("--json", action="store_true", help="no view; print the summary as one JSON line")


def demo(args: argparse.Namespace) -> int:
    """Until Ctrl-C. Raises FeedgateError when it cannot begin."""
    with missing_package():
        from runbook.web.demo import run_demo  # noqa: PLC0415 - no other command needs a web server
    return asyncio.run(
        run_demo(
            rate=args.rate,
            contracts=args.contracts,
            seconds=args.seconds,
            kill_after=args.kill or None,
            as_json=args.json,
            port=args.port,
            profile=args.profile,
        )
    )
