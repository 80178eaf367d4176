"""The command that runs when tries do not help."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import Mapping
from typing import Final, Protocol

from runbook.settings import EscalationSettings

_SHOWN: Final = 500


class Escalate(Protocol):
    """Tells somebody."""

    async def __call__(self, marker: str, exit_code: int, /) -> str:
        """Do it; what came of it, in words. Never raises."""
        ...


class EscalationCommand:
    """Runs ``escalation.command`` without a shell, ``{marker}`` and ``{exit_code}`` filled in word by word."""

    def __init__(self, rules: EscalationSettings, environment: Mapping[str, str]) -> None:
        self._rules = rules
        self._environment = dict(environment)

    async def __call__(self, marker: str, exit_code: int, /) -> str:
        if not self._rules.command:
            return "nobody was told: escalation.command is not set"
        words = [word.format(marker=marker, exit_code=exit_code) for word in shlex.split(self._rules.command)]
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=self._environment,
            )
        except (OSError, ValueError) as error:
            return f"the escalation command {words[0]} cannot be run: {error}; correct escalation.command"
        try:
            async with asyncio.timeout(self._rules.timeout_s):
                output, _ = await process.communicate()
        except TimeoutError:
            return f"the escalation command {words[0]} did not end within {self._rules.timeout_s:g} s and was killed"
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        said = output.decode("utf-8", "replace").strip()[-_SHOWN:]
        return f"the escalation command {words[0]} ended with {process.returncode}{f': {said}' if said else ''}"
