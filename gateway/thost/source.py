"""One login at one market-data front of the family."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from gateway.errors import LineError
from gateway.model import Account, Instrument, LineId, LineState, Tick
from gateway.ports import TickSink
from gateway.thost.credentials import LOGIN, fill
from gateway.thost.family import Family
from gateway.thost.fronts import parse_fronts
from gateway.thost.spi import Silence, build, copying, reading
from gateway.thost.words import SENT

__all__ = ["ThostSource"]

log = logging.getLogger(__name__)

RELEASE_TIMEOUT_S: Final = 5.0
QUIET_S: Final = 0.1
"""No callback for this long: none is under way (each needs Python's lock for well under 5 ms), none will come."""
QUIET_TIMEOUT_S: Final = 1.0


class ThostSource:
    """A :class:`gateway.ports.ParsingSource` on a vendor's CThostFtdcMdApi. A plugin subclasses it with its family.

    The vendor connects and reconnects by itself and may never call back (a front that refuses, or is silent for two
    minutes): whoever runs the source needs timers of its own. Closing and starting anew needs a new object.
    """

    family: ClassVar[Family]

    def __init__(
        self,
        account: Account,
        line: LineId,
        options: Mapping[str, Any],
        *,
        load: Callable[[], Any] | None = None,
    ) -> None:
        """Checks account and options; raises LineError. ``load`` gives the vendor's module, if not the options do."""
        self._account = account
        self._line = line
        self._fronts = parse_fronts(account.md_address)
        self._library_name = self.family.library_name(options)
        self._flow_option = str(options.get("flow_dir") or "")
        self._load = load or self.family.libraries[self._library_name].load_market_data
        self._parser = self.family.parser(options.get("exchanges"))
        self._wanted: dict[str, Instrument] = {}
        self._vendor = threading.Lock()  # opening and releasing happen on worker threads, one at a time
        self._started = False
        self._closed = False
        self._closing: asyncio.Task[None] | None = None
        self._login: Any = None
        self._api: Any = None
        self._spi: Any = None
        self._private_flow: Path | None = None
        self._request = 0

    async def start(self, sink: TickSink) -> None:
        """Load the library and begin to connect; all else is told to the sink. Called once.

        Raises LineError or PluginError when the library cannot be loaded, its flow directory cannot be made, or what
        the account says does not fit into the vendor's login.
        """
        if self._started:
            raise LineError(f"{self._line} was started before: make a new source to start again")
        self._started = True
        sink.state(LineState.CONNECTING, ", ".join(self._fronts))
        await asyncio.to_thread(self._open, sink)

    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        """Send one request for all. Raises LineError when the library does not take it."""
        self._parser.learn(instruments)
        self._wanted.update((instrument.code, instrument) for instrument in instruments)
        self._send("subscribe", "SubscribeMarketData", instruments)

    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        """Send one request for all. Raises LineError when the library does not take it."""
        self._send("unsubscribe", "UnSubscribeMarketData", instruments)

    def parse(self, records: Sequence[tuple[int, bytes]], reject: Callable[[str], None]) -> Sequence[Tick]:
        """Decode a batch; the rules and the words of ``reject`` are in :mod:`gateway.thost.parse`."""
        return self._parser.parse(records, reject)

    async def aclose(self) -> None:
        """Let go of the library, in the only order that it survives. Idempotent.

        The library's Release waits for its own thread and may block, so it runs on a thread of its own, for at most
        :data:`RELEASE_TIMEOUT_S`; a thread that is stuck after that is left behind, with what it holds.
        """
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close(), name=f"close {self._line}")
        await asyncio.shield(self._closing)

    # -- on worker threads

    def _open(self, sink: TickSink) -> None:
        with self._vendor:
            if self._closed:
                return
            module = self._load()
            self._login = fill(module.CThostFtdcReqUserLoginField(), self._account, LOGIN, LineError)
            depth = self.family.depth
            found = depth.verify(module)
            if not found.exact:
                reason = f"{self._library_name} has another tick struct ({found.difference}): slow attribute reads"
                log.warning("line %s: %s", self._line, reason)
                sink.state(LineState.CONNECTING, reason)
            flow = self._make_flow_directory()
            callbacks = copying(depth) if found.exact else reading(depth)
            self._spi = build(sink, module, callbacks, login=self._send_login, instrument_of=self._wanted.get)
            self._api = module.CThostFtdcMdApi.CreateFtdcMdApi(f"{flow}/")
            self._api.RegisterSpi(self._spi)
            for front in self._fronts:
                self._api.RegisterFront(front)
            self._api.Init()

    def _release(self) -> None:
        with self._vendor:
            if self._api is not None and not self._let_go():
                log.warning("line %s: the front keeps sending; the vendor library is left running, unheard", self._line)
                return  # with its flow directory, which it needs
            self._api = None
            if self._private_flow is not None:
                shutil.rmtree(self._private_flow, ignore_errors=True)
                self._private_flow = None

    def _let_go(self) -> bool:
        """Release the library; False when that cannot be done safely.

        Observed: Release while data comes in crashes the process now and then, also with no Spi registered. So the
        data is turned off first, and a library whose front does not stop is silenced but not released: a leaked
        thread is better than a crash.
        """
        silence = Silence()
        self._spi.mute(silence)
        if self._wanted:
            codes = [code.encode("gb18030") for code in tuple(self._wanted)]
            self._api.UnSubscribeMarketData(codes, len(codes))
        quiet = _wait_for_quiet(silence)
        self._api.RegisterSpi(None)
        if quiet:
            self._api.Release()
        else:
            # a callback may still be on its way to the Spi, up to the very end of the process: it never goes away
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._spi))
            _wait_for_quiet(silence)
        return quiet

    def _make_flow_directory(self) -> Path:
        try:
            if self._flow_option:
                flow = Path(self._flow_option) / f"{self._line.feed}-{self._line.account}"
                flow.mkdir(parents=True, exist_ok=True)
                return flow
            self._private_flow = Path(tempfile.mkdtemp(prefix=f"feedgate-{self.family.name}-"))
        except OSError as error:
            raise LineError(
                f"cannot make the flow directory of {self._line} ({error.strerror}): "
                "set the option flow_dir to a writable directory",
            ) from None
        return self._private_flow

    # -- on the vendor's thread

    def _send_login(self) -> int:
        api = self._api
        if self._closed or api is None:
            return 0
        self._request += 1
        return int(api.ReqUserLogin(self._login, self._request))

    # -- on the loop

    def _send(self, verb: str, method: str, instruments: Sequence[Instrument]) -> None:
        if not instruments:
            return
        if self._closed or self._api is None:
            raise LineError(f"cannot {verb} on {self._line}: the line is not running", line=str(self._line))
        codes = [instrument.code.encode("gb18030") for instrument in instruments]
        code = getattr(self._api, method)(codes, len(codes))
        if code:
            raise LineError(
                f"cannot {verb} {len(codes)} instruments on {self._line}: {code}, "
                f"{SENT.get(code, 'unknown code')}; wait for the login or send fewer at a time",
                line=str(self._line),
                vendor_code=code,
            )

    async def _close(self) -> None:
        self._closed = True
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def run() -> None:
            try:
                self._release()
            finally:
                with contextlib.suppress(RuntimeError):  # the loop is gone when we outlived the time-out
                    loop.call_soon_threadsafe(done.set)

        # a daemon thread, not the loop's executor: a stuck Release must not keep the process from ending
        threading.Thread(target=run, name=f"release {self._line}", daemon=True).start()
        try:
            await asyncio.wait_for(done.wait(), RELEASE_TIMEOUT_S)
        except TimeoutError:
            log.warning("line %s: the vendor library does not let go; its thread is left behind", self._line)


def _wait_for_quiet(silence: Silence) -> bool:
    """Wait until no callback comes any more; False when they do not end."""
    deadline = time.monotonic() + QUIET_TIMEOUT_S
    while time.monotonic() < deadline:
        before = silence.dropped
        time.sleep(QUIET_S)
        if silence.dropped == before:
            return True
    return False
