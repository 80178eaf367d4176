"""Starts a supervisor in the background when none runs."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.errors import FeedgateError
from gateway.settings.process import PROFILE, process_environment
from runbook.model import Exit
from runbook.supervisor.link import LostSupervisorError, NoSupervisorError, SupervisorLink
from runbook.supervisor.place import Place

_LOOK_S: Final = 0.1
_LAUNCH_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Launch:
    """What a supervisor is started with, beside the environment. Paths only: secrets stay in the files."""

    config: Path | None = None
    env_files: tuple[Path, ...] = ()
    nats_server: Path | None = None
    recorded: bool = True
    """False: the supervisor writes nothing into the audit and pushes nothing; for the mock environment, whose audit is
    the real one's."""
    profile: str = ""
    """What the start is for: FEEDGATE_PROFILE of the supervisor and of the gateway that it starts, so that the audit
    and they agree. Empty: as the environment and the files say."""

    def arguments(self, state_dir: Path, log_dir: Path) -> list[str]:
        """For ``python -m runbook.supervisor``."""
        words = [f"--state-dir={state_dir.absolute()}", f"--log-dir={log_dir.absolute()}"]
        words += [f"--config={self.config.absolute()}"] if self.config else []
        words += [f"--env-file={file.absolute()}" for file in self.env_files]
        words += [f"--nats-server={self.nats_server.absolute()}"] if self.nats_server else []
        words += [] if self.recorded else ["--no-records"]
        return words

    def environment(self) -> dict[str, str]:
        """Of the supervisor."""
        return process_environment() | ({PROFILE: self.profile} if self.profile else {})


class LaunchError(FeedgateError):
    """The supervisor could not be started; its exit code is this one's."""

    code = "launch"

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


async def running_supervisor(launch: Launch, state_dir: Path, log_dir: Path) -> SupervisorLink:
    """A link to the one that runs, or to one that is started now, in a session of its own. Raises LaunchError."""
    link = SupervisorLink(Place(state_dir))
    try:
        async with asyncio.timeout(_LAUNCH_S):
            while True:
                try:
                    await link.status()
                except LostSupervisorError:
                    await asyncio.sleep(_LOOK_S)  # one that just ends
                except NoSupervisorError:
                    await _launch(launch.arguments(state_dir, log_dir), launch.environment())
                else:
                    return link
    except TimeoutError:
        raise LaunchError(
            f"the supervisor does not answer within {_LAUNCH_S:g} s; see {log_dir}/supervisor.log", Exit.GATEWAY
        ) from None


async def _launch(arguments: list[str], environment: dict[str, str]) -> None:
    """Returns once it listens, or once another one is about to."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "runbook.supervisor", "--detach", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    try:
        _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == Exit.BUSY:
        await asyncio.sleep(_LOOK_S)  # it holds the lock, and does not listen yet, or no more
    elif process.returncode:
        words = said.decode("utf-8", "replace").strip()
        # 1 is Python's own end with a traceback, which is no warning; below 0 it was killed
        code = process.returncode if process.returncode > Exit.WARNING else Exit.GATEWAY
        raise LaunchError(words or "the supervisor ended without a word; see supervisor.err", code)
