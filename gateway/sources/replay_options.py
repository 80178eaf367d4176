"""The options of a replay feed and of the replay catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from gateway.errors import LineError, SettingsError
from gateway.model import SHANGHAI
from gateway.sources.faults import Fault, read_faults
from gateway.sources.option_values import OptionReader
from gateway.sources.recordings import Recording

OPTIONS: Final = frozenset(
    {
        "connect_ms",
        "faults",
        "login_ms",
        "loop",
        "max_pause_s",
        "path",
        "scan",
        "seed",
        "settle_s",
        "speed",
        "start",
        "stop",
    }
)
"""Names that the options table may use; :class:`ReplayOptions` says what they mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOptions:
    """The options of a replay feed, checked."""

    path: Path
    """The recording; recordings.py says which layouts."""
    speed: float = 1.0
    """1 is as recorded, 10 ten times as fast, 0 as fast as the pipeline takes it."""
    loop: bool = False
    """Begin again at the end, each pass dated whole weeks later, so that time and trading days go on."""
    start_ns: int = 0
    """Leave out ticks with an earlier exchange time; ``start = "2017-04-14T09:00:00"``, Shanghai."""
    stop_ns: int = 1 << 62
    """Leave out ticks with this exchange time and later ones."""
    max_pause_s: float = 2.0
    """Longer gaps (lunch, night) are played as this many seconds."""
    settle_s: float = 0.5
    """Playing begins when no subscription has come for so long: the first ticks belong to everybody."""
    scan: bool = True
    """Read the file once before the login to know its contracts. Without it every subscription is confirmed."""
    seed: int = 1
    """Of the faults' dice."""
    connect_ms: float = 0.0
    login_ms: float = 0.0
    faults: tuple[Fault, ...] = ()

    @classmethod
    def scan_values(cls, values: Mapping[str, Any]) -> tuple[ReplayOptions, list[str]]:
        """The options and what is wrong with them."""
        reader = OptionReader(values, known=OPTIONS)
        path = Path(reader.text("path"))
        if not values.get("path"):
            reader.refuse("path", "name a recording of ticks (CSV or CSV.GZ)")
        elif not path.is_file():
            reader.refuse("path", "there is no such file")
        else:
            try:
                Recording(path).parser()
            except LineError as error:
                reader.findings.append(f"option path: {error}")
        options = cls(
            path=path,
            speed=reader.number("speed", 1.0, low=0.0, high=1_000_000.0),
            loop=reader.flag("loop", default=False),
            start_ns=_moment(reader, "start", 0),
            stop_ns=_moment(reader, "stop", 1 << 62),
            max_pause_s=reader.number("max_pause_s", 2.0, low=0.0, high=86_400.0),
            settle_s=reader.number("settle_s", 0.5, low=0.0, high=3600.0),
            scan=reader.flag("scan", default=True),
            seed=reader.integer("seed", 1, low=-(1 << 63), high=1 << 63),
            connect_ms=reader.number("connect_ms", 0.0, low=0.0, high=600_000.0),
            login_ms=reader.number("login_ms", 0.0, low=0.0, high=600_000.0),
            faults=read_faults(reader),
        )
        if options.start_ns >= options.stop_ns:
            reader.refuse("stop", "it must be later than start")
        return options, reader.findings

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> ReplayOptions:
        """Raises SettingsError with all findings."""
        options, findings = cls.scan_values(values)
        if findings:
            raise SettingsError(findings)
        return options


def _moment(reader: OptionReader, name: str, default: int) -> int:
    text = reader.text(name)
    if not text:
        return default
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        reader.refuse(name, "write a moment as 2017-04-14T09:00:00 (Shanghai)")
        return default
    moment = moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI)
    return round(moment.timestamp() * 1000) * 1_000_000
