"""``python -m runbook.supervisor``: the process that owns NATS and the gateway.

``--foreground`` is for systemd and containers: it starts everything, serves until SIGTERM or ``runbook stop``, and ends
with the exit code of the start when that failed and nothing is left running. ``--detach`` is what ``runbook start``
uses: it returns once the process in the background listens (0), or says why there is none (11, 75).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.errors import FeedgateError
from gateway.settings import Settings, load_settings
from gateway.settings.process import process_environment
from runbook.model import Exit
from runbook.settings import RunbookSettings, load_runbook_settings
from runbook.supervisor.daemon import Files, supervise

Ready = Callable[[int, str], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code of the process."""
    args = _parser().parse_args(argv)

    def load() -> tuple[Settings, RunbookSettings]:
        changes = {name: value for name in ("state_dir", "log_dir") if (value := getattr(args, name)) is not None}
        runbook = load_runbook_settings(args.config, args.env_file)
        return load_settings(args.config, args.env_file), runbook.model_copy(update=changes)

    try:
        settings, runbook = load()
        runbook.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        runbook.log_dir.mkdir(parents=True, exist_ok=True)
    except FeedgateError as error:
        return _fail(error.exit_code, str(error))
    except OSError as error:
        return _fail(Exit.ENVIRONMENT, f"{error.filename}: {error.strerror}; correct its permissions, or name another")
    files = Files(
        config=args.config,
        env_files=tuple(args.env_file),
        nats_server=args.nats_server,
        environment=process_environment(),
        load=load,
        recorded=not args.no_records,
    )
    foreground = None if not args.foreground else (args.window, args.debug)
    if args.detach:
        return _detached(lambda ready: asyncio.run(supervise(settings, runbook, files, None, ready)), runbook.log_dir)
    try:
        return asyncio.run(supervise(settings, runbook, files, foreground, _silent))
    except FeedgateError as error:
        return _fail(error.exit_code, str(error))


def _detached(run: Callable[[Ready], int], log_dir: Path) -> int:
    """Fork: the child becomes the supervisor, the parent tells whether it listens, and ends."""
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        with os.fdopen(reading) as pipe:
            code, _, words = pipe.read().partition("\n")
        return _fail(int(code), words) if code.isdigit() else _fail(Exit.GATEWAY, f"it died; see {log_dir}")
    os.close(reading)
    os.setsid()
    told = False

    def ready(code: int, words: str) -> None:
        nonlocal told
        if not told:
            told = True
            with os.fdopen(writing, "w") as pipe:
                pipe.write(f"{code}\n{words}")

    try:
        err = os.open(log_dir / "supervisor.err", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (err, 1), (err, 2)):
            os.dup2(source, target)
        os.close(err)
        os.close(null)
        return run(ready)
    except FeedgateError as error:
        ready(error.exit_code, str(error))
        return error.exit_code
    except BaseException as error:
        ready(Exit.ERROR, f"{type(error).__name__}: {error}")
        raise


def _silent(_code: int, _words: str) -> None:
    pass


def _fail(code: int, words: str) -> int:
    if code:
        print(words, file=sys.stderr)  # noqa: T201 - this is the command's answer
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m runbook.supervisor", description="Owns NATS and the gateway.")
    parser.add_argument("--config", type=Path, help="TOML file (docs/settings.md)")
    parser.add_argument("--env-file", type=Path, action="append", default=[], help="file with variables; the last wins")
    parser.add_argument("--state-dir", type=Path, help="in place of state_dir of the settings")
    parser.add_argument("--log-dir", type=Path, help="in place of log_dir of the settings")
    parser.add_argument("--nats-server", type=Path, metavar="FILE", help="in place of the bundled nats-server")
    parser.add_argument("--no-records", action="store_true", help="nothing into the audit, nothing to the Pushgateway")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--foreground", action="store_true", help="start everything now; for systemd and containers")
    how.add_argument("--detach", action="store_true", help="go into the background and wait for orders")
    parser.add_argument("--window", choices=("day", "night"), help="with --foreground: whose T-5 counts")
    parser.add_argument("--debug", action="store_true", help="with --foreground: the gateway logs at DEBUG")
    return parser


if __name__ == "__main__":
    sys.exit(main())
