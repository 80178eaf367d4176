"""What belongs into an incident report, as far as it can be had. Nothing here raises for what is down."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.client import HTTPException
from io import BytesIO
from pathlib import Path
from typing import Final
from urllib.request import urlopen

import msgspec

from gateway.terminal.top.asking import Asking
from gateway.terminal.top.export import json_text
from gateway.terminal.top.telling import facts_of
from gateway.terminal.top.text import snapshot
from runbook.audit.chain import Entry
from runbook.audit.export import json_lines
from runbook.audit.files import records_after
from runbook.context import ActionContext
from runbook.maintenance.archive import secret_files
from runbook.maintenance.collect import Found, Skipped, copy_consistently, files_below
from runbook.maintenance.placing import shanghai_time
from runbook.runner.masking import Masker

_LARGEST: Final = 16 << 20
"""Bytes of one log or answer; of a longer log the end is kept."""
MOST_IN_ALL: Final = 128 << 20
"""Bytes of all logs of a report, the youngest first."""
_PACKED: Final = 64 << 20
"""Bytes of a compressed log that is looked into."""
_ANSWER_S: Final = 5.0
_SAMPLE: Final = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)")
_TEXTS: Final = re.compile(r".+\.(log|jsonl|json|csv|md|txt)(\.\d+)*(\.gz)?")


@dataclass(slots=True)
class Evidence:
    """Files by their name in the report, all masked, and what could not be had."""

    files: dict[str, bytes] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    """Of the audit, oldest first."""
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    """By metric and labels."""


class Collector:
    """Collects for one report. Everything goes through the masker."""

    def __init__(self, context: ActionContext, masker: Masker, since: datetime, *, room: int = MOST_IN_ALL) -> None:
        """``room``: bytes of logs at most, unpacked."""
        self.evidence = Evidence()
        self._room = room
        self._context = context
        self._masker = masker
        self._since = since

    async def collect(self) -> Evidence:
        """All of it, within a few seconds for each thing that does not answer."""
        await asyncio.gather(self._status(), self._top(), self._metrics(), asyncio.to_thread(self._files))
        return self.evidence

    def _files(self) -> None:
        self._logs()
        self._audit()

    def _keep(self, name: str, text: str) -> None:
        self.evidence.files[name] = self._masker.text(text).encode("utf-8", "replace")

    def _miss(self, what: str, why: object) -> None:
        said = " ".join(str(why).split()) or type(why).__name__
        self.evidence.missing.append(self._masker.text(f"{what}: {said}"))

    async def _status(self) -> None:
        try:
            async with asyncio.timeout(_ANSWER_S), self._context.connect() as client:
                status = msgspec.to_builtins(await client.status())
        except Exception as error:  # noqa: BLE001 - whatever is wrong there is the incident, not an error of the report
            why = f"no answer within {_ANSWER_S:g} s" if isinstance(error, TimeoutError) else error
            self._miss("status of the gateway", why)
            return
        self._keep("status.json", json.dumps(self._masker.value(status), ensure_ascii=False, indent=2) + "\n")

    async def _top(self) -> None:
        """What ``gateway top --export`` writes: for people, and as JSON."""
        asking = Asking(self._context.connect, self._context.clock, self._context.settings.name)
        try:
            async with asyncio.timeout(2 * _ANSWER_S):  # to connect, and to be answered
                look = await asking.once()
        except Exception as error:  # noqa: BLE001 - as for the status
            self._miss("snapshot of gateway top", error)
            return
        if look.status is None:
            self._miss("snapshot of gateway top", "the gateway did not answer")
            return
        facts = facts_of(look)
        self._keep("top.txt", snapshot(facts))
        self._keep("top.json", json_text(facts))

    async def _metrics(self) -> None:
        gateway, runbook = self._context.settings.metrics, self._context.runbook.metrics
        places = {
            "gateway": f"http://{gateway.host}:{gateway.port}" if gateway.enabled and gateway.port else None,
            "pushgateway": runbook.pushgateway_url,
        }
        for name, url in places.items():
            if url is None:
                self._miss(f"metrics of the {name}", "no address is set")
                continue
            try:
                text = await asyncio.to_thread(_get, f"{url}/metrics")
            except (OSError, HTTPException, ValueError) as error:
                self._miss(f"metrics of the {name}", f"{url}: {getattr(error, 'reason', None) or error}")
                continue
            self._keep(f"metrics/{name}.txt", text)
            for metric, labels, value in samples(self._masker.text(text)):
                self.evidence.figures.setdefault(metric, {})[labels] = value

    def _logs(self) -> None:
        root = self._context.log_dir
        if not root.is_dir():
            self._miss("logs", f"there is no {root}")
            return
        border = self._since.timestamp() * 1e9
        young: list[Found] = []
        for found in files_below(root, secret_files(self._context.runbook)):
            if isinstance(found, Skipped):
                self._miss(f"log {found.name}", found.why)
            elif _TEXTS.fullmatch(found.path.name) and found.mtime_ns >= border:
                young.append(found)
        room = self._room
        for number, found in enumerate(sorted(young, key=lambda one: (-one.mtime_ns, one.name))):
            if room <= 0:
                self._miss(f"{len(young) - number} older logs", f"the report would have more than {self._room} bytes")
                return
            room -= self._log(root, found)

    def _log(self, root: Path, found: Found) -> int:
        """Keep it, and give its size."""
        copy = BytesIO()
        copied = copy_consistently(found, root, copy)
        if isinstance(copied, str):
            self._miss(f"log {found.name}", copied)
            return 0
        data, name = copy.getvalue(), found.name
        if name.endswith(".gz"):
            # unpacked, or no secret in it could be masked
            try:
                data = _unpacked(data)
            except (OSError, EOFError, zlib.error, ValueError) as error:
                self._miss(f"log {name}", error)
                return 0
            name = name.removesuffix(".gz")
        if len(data) > _LARGEST:
            self._miss(f"beginning of log {name}", f"only its last {_LARGEST} bytes are here")
            data = data[-_LARGEST:].partition(b"\n")[2]
        self._keep(f"logs/{name}", data.decode("utf-8", "replace"))
        return len(data)

    def _audit(self) -> None:
        directory = self._context.runbook.audit_directory
        try:
            entries = [entry for entry, _ in records_after(directory, 0)]
        except Exception as error:  # noqa: BLE001 - an audit in whatever state
            self._miss("audit", error)
            return
        young = [entry for entry in entries if datetime.fromisoformat(entry.written) >= self._since]
        self.evidence.entries = young
        self._keep("audit.jsonl", "".join(json_lines(young)))


def _unpacked(data: bytes) -> bytes:
    """Raises ValueError for one that grows beyond measure: a few bytes can unpack to gigabytes."""
    with gzip.GzipFile(fileobj=BytesIO(data)) as file:
        whole = file.read(_PACKED + 1)
    if len(whole) > _PACKED:
        raise ValueError(f"it has more than {_PACKED} bytes unpacked")
    return whole


def since(context: ActionContext, minutes: int) -> datetime:
    """Where the report begins."""
    return shanghai_time(context.clock.wall_ns()) - timedelta(minutes=minutes)


def samples(text: str) -> Iterator[tuple[str, str, float]]:
    """``(metric, labels, value)`` of the Prometheus text format; other lines are passed over."""
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        if match:
            try:
                yield match["name"], match["labels"] or "", float(match["value"])
            except ValueError:
                continue


def _get(url: str) -> str:
    with urlopen(url, timeout=_ANSWER_S) as answer:  # noqa: S310 - http(s) by the settings' types
        data: bytes = answer.read(_LARGEST)
    return data.decode("utf-8", "replace")
