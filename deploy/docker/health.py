"""``python health.py gateway|console|nats [flags of gateway top]``: 0 healthy, 1 not; for containers.

``gateway`` asks the running gateway over NATS. It must answer; while a market is open, each feed must have a line and
its contracts. While all markets are closed fronts may be off, and an answer is enough. ``console`` and ``nats`` ask the
probe of that server on this machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

PROBES: Final = {
    "console": "http://127.0.0.1:9180/healthz",
    "nats": "http://127.0.0.1:8222/healthz?js-enabled-only=true",
}
WITHIN_S: Final = 12.0
_WARNINGS: Final = 1


def gateway(flags: Sequence[str]) -> str:
    """Why it is not healthy; empty: it is."""
    program = Path(sys.executable).with_name("gateway")
    command = [str(program)] if program.exists() else [sys.executable, "-m", "gateway"]
    try:
        asked = subprocess.run(
            [*command, "top", "--json", *flags], capture_output=True, text=True, timeout=WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {WITHIN_S:g} s"
    if asked.returncode <= _WARNINGS:
        return ""
    try:
        facts: dict[str, Any] = json.loads(asked.stdout)
    except ValueError:
        return asked.stderr.strip() or f"gateway top ended with {asked.returncode}"
    sessions = facts.get("sessions") or {}
    if sessions and all(session == "closed" for session in sessions.values()):
        return ""
    return "; ".join(facts.get("not_ready", [])) or f"gateway top ended with {asked.returncode}"


def probe(url: str) -> str:
    """Why it is not healthy; empty: it is."""
    try:
        with urllib.request.urlopen(url, timeout=WITHIN_S) as answer:  # noqa: S310 - http of this machine
            answer.read()
    except urllib.error.HTTPError as error:
        return f"{url} answers {error.code}: {error.read(500).decode(errors='replace')}"
    except OSError as error:
        return f"{url} does not answer: {error}"
    return ""


def main(words: Sequence[str]) -> int:
    """Returns the exit code; says why on stderr, which ``docker inspect`` shows."""
    what, *rest = words or ["gateway"]
    if what == "gateway":
        why = gateway(rest)
    elif what in PROBES:
        why = probe(rest[0] if rest else PROBES[what])
    else:
        why = f"unknown: {what}; one of gateway, {', '.join(PROBES)}"
    if why:
        sys.stderr.write(f"{what}: {why}\n")
    return 1 if why else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
