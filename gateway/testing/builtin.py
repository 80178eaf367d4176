"""The counters of the gateway's own feeds, so that they pass the suite that everybody's do."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gateway.hookspecs import FeedKind
from gateway.model import Account, Instrument, LineId
from gateway.ports import FeedSource
from gateway.sources import replay, sim
from gateway.sources.played import PlayedSource
from gateway.sources.sim_options import SimOptions
from gateway.testing.catalogue_cards import CataloguePlace
from gateway.testing.counter import Counter
from gateway.testing.secret_places import EnvPlace, FilePlace

_MARKET: Final[Mapping[str, Any]] = {"contracts": 20, "rate": 400.0, "quiet": 0.0, "exchanges": ["SHFE", "DCE"]}
_BEGIN: Final = 9 * 3600 * 10
_ROWS: Final = 600
_HEADER: Final = "InstrumentID,ExchangeID,TradingDay,ActionDay,UpdateTime,UpdateMillisec,LastPrice,Volume"
_CODES: Final = ("rb2601", "cu2601")


class PlayedCounter(Counter):
    """What the two have in common: the faults are in the options, and the front is in the source."""

    streams = True
    unknown = Instrument("SHFE", "nothing")

    def __init__(self) -> None:
        self._refusal = ""
        self._built: list[PlayedSource] = []

    def build(self, account: Account, line: LineId, options: Mapping[str, Any]) -> FeedSource:
        source = super().build(account, line, options)
        if isinstance(source, PlayedSource):
            self._built.append(source)
        return source

    def options(self) -> dict[str, Any]:
        return {"faults": [{"kind": "refuse_login", "reason": self._refusal}]} if self._refusal else {}

    async def drop(self) -> None:
        for source in self._built:
            source.cut()

    async def refuse(self, words: str) -> None:
        self._refusal = words


class SimCounter(PlayedCounter):
    """A small synthetic market."""

    kind: FeedKind = sim.gateway_feeds()[0]
    remote = True

    def __init__(self) -> None:
        super().__init__()
        contracts = SimOptions.read(_MARKET).market().contracts
        self.instruments = tuple(contract.instrument for contract in contracts[:2])

    def options(self) -> dict[str, Any]:
        return super().options() | dict(_MARKET)


class ReplayCounter(PlayedCounter):
    """A recording of a minute, with a row that is none, played ten times as fast, over and over.

    Not ``remote``: a process that is replaced plays from the beginning, and the arbiter drops that as late.
    """

    kind: FeedKind = replay.gateway_feeds()[0]
    instruments = tuple(Instrument("SHFE", code) for code in _CODES)

    def __init__(self) -> None:
        super().__init__()
        self._directory: Path | None = None

    async def start(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="feedgate-replay-"))
        write_recording(self._path)

    async def stop(self) -> None:
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def _path(self) -> Path:
        return (self._directory or Path()) / "ticks.csv"

    def options(self) -> dict[str, Any]:
        return super().options() | {"path": str(self._path), "speed": 10.0, "loop": True, "settle_s": 0.01}

    async def send_bad(self) -> None:
        """One is in the recording."""


def write_recording(path: Path) -> None:
    """Ten rows a second in turn, the tenth of them bad."""
    rows = [_HEADER]
    for number in range(_ROWS):
        tenths = _BEGIN + number
        minutes, seconds = divmod(tenths // 10, 60)
        stamp = f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02},{tenths % 10 * 100}"
        price = "junk" if number == 9 else str(3000 + number % 7)  # noqa: PLR2004 - the tenth
        rows.append(f"{_CODES[number % 2]},SHFE,20251121,20251121,{stamp},{price},{number + 1}")
    path.write_text("\n".join(rows), encoding="utf-8")


class SimCatalogue(CataloguePlace):
    """What the small market lists."""

    kind = sim.gateway_catalogues()[0]

    def options(self) -> dict[str, Any]:
        return dict(_MARKET)


class ReplayCatalogue(CataloguePlace):
    """What occurs in the recording."""

    kind = replay.gateway_catalogues()[0]

    def __init__(self) -> None:
        self._directory: Path | None = None

    def start(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="feedgate-replay-"))
        write_recording(self._directory / "ticks.csv")

    def stop(self) -> None:
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def options(self) -> dict[str, Any]:
        return {"path": str((self._directory or Path()) / "ticks.csv")}

    def break_it(self) -> None:
        self.stop()


BUILT_IN: Final[Mapping[str, Sequence[Callable[[], Any]]]] = {
    "gateway.sources.sim": (SimCounter, SimCatalogue),
    "gateway.sources.replay": (ReplayCounter, ReplayCatalogue),
    "gateway.secrets.env": (EnvPlace,),
    "gateway.secrets.file": (FilePlace,),
}
"""Plugin module → what it offers to ``gateway check``; modules below the kit cannot name its classes themselves."""
