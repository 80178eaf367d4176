"""A gateway in a process of its own, started as operators do (``gateway run``), so that it can be killed or starved."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.bus.nats import NatsBus
from gateway.client import Client
from gateway.errors import FeedgateError
from gateway.model import LineStatus
from gateway.settings import AccountSettings, FeedSettings
from gateway.testing.nats import NatsServer
from tests.faults.market import Consumer
from tests.faults.rig import Rig
from tests.faults.sim_rig import OPTIONS, SimMarket, key
from tests.faults.source import Source
from tests.faults.told_front import ToldFront
from tests.faults.witness import Witness, until

_LOOK_S = 0.02
_STARTS_S = 40.0
_ENDS_S = 15.0


class PlainSimSource:
    """The kind ``sim`` as it is: ``gateway run`` knows no front of ours (a :class:`tests.faults.source.Source`)."""

    name = "sim"
    key = staticmethod(key)
    plugins: tuple[object, ...] = ()

    def __init__(self) -> None:
        self.market = SimMarket()
        self.fronts = {"primary": ToldFront(), "backup": ToldFront()}

    def feed(self, **extra: Any) -> FeedSettings:
        accounts = {name: AccountSettings() for name in self.fronts}
        return FeedSettings(kind="sim", host="child", accounts=accounts, options=dict(OPTIONS), **extra)

    def left_out(self) -> int:
        return 0  # nobody can ask

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        yield


class CoreRig(Rig):
    """A rig whose gateway is a child process; lines are seen through the control service, faults by signals."""

    def __init__(
        self, source: Source, server: NatsServer, consumer: Consumer, witness: Witness, client: Client, directory: Path
    ) -> None:
        self.source, self.server, self.consumer, self.witness = source, server, consumer, witness
        self.clock = None
        self.injected_ns = 0
        self.tasks = []
        self._client = client
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None
        self._log: deque[str] = deque(maxlen=40)
        self._statuses: dict[str, LineStatus] = {}

    async def start(self) -> None:
        """``gateway run``."""
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "run", "--config", str(self._directory / "gateway.toml"), "--no-view",
            env=environment(self.source), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None
        self.tasks.append(asyncio.create_task(self._keep_log(process.stderr), name="log of gateway run"))

    async def _keep_log(self, stream: asyncio.StreamReader) -> None:
        """Through a pipe: a full disk would hit a file, too."""
        while line := await stream.readline():
            self._log.append(line.decode("utf-8", "replace"))

    async def look(self) -> None:
        """Ask for the lines again and again."""
        while True:
            try:
                reply = await self._client.status()
            except FeedgateError:
                self._statuses = {}
            else:
                self._statuses = {one.line: one for one in reply.lines}
            for account, front in self.source.fronts.items():
                if isinstance(front, ToldFront):
                    status = self._statuses.get(self.line(account))
                    front.told(
                        stands=status is not None and self.carries_all(account),
                        since_ns=status.since_ns if status else 0,
                    )
            await asyncio.sleep(_LOOK_S)

    def status(self, account: str) -> LineStatus:
        """As of the last look. Raises KeyError while there is no gateway."""
        return self._statuses[self.line(account)]

    def carries_all(self, account: str) -> bool:
        """False also while there is no gateway."""
        return self.line(account) in self._statuses and super().carries_all(account)

    # -- faults

    @property
    def core(self) -> int:
        """The process id of the gateway."""
        process = self._process
        if process is None or process.returncode is not None:
            raise RuntimeError(
                f"gateway run ended with {process and process.returncode}: {self._log[-1].strip() if self._log else ''}"
            )
        return process.pid

    async def kill_core(self) -> None:
        """SIGKILL, and every line goes with it."""
        for front in self.source.fronts.values():
            front.ability.impair(until_session=True)
        self._statuses = {}
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    def kill_lines(self) -> None:
        """SIGKILL to the processes of both lines."""
        for front in self.source.fronts.values():
            front.ability.impair(until_session=True)
        for pid in children(self.core):
            os.kill(pid, signal.SIGKILL)

    def fill_disk(self, size: int) -> None:
        """No file of the gateway may be longer than so many bytes: what a write meets on a full disk."""
        _, hard = resource.prlimit(self.core, resource.RLIMIT_FSIZE)
        resource.prlimit(self.core, resource.RLIMIT_FSIZE, (size, hard))

    def make_room(self) -> None:
        """As before."""
        _, hard = resource.prlimit(self.core, resource.RLIMIT_FSIZE)
        resource.prlimit(self.core, resource.RLIMIT_FSIZE, (hard, hard))

    def freeze(self, *, lines: bool) -> None:
        """SIGSTOP to the gateway, and to its lines as when the machine is suspended or moved."""
        for front in self.source.fronts.values():
            front.ability.impair()
        for pid in (self.core, *(children(self.core) if lines else ())):
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """All go on at once."""
        for pid in (self.core, *children(self.core)):
            os.kill(pid, signal.SIGCONT)
        for front in self.source.fronts.values():
            front.ability.repair()

    async def aclose(self) -> None:
        await super().aclose()
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(_ENDS_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise

    def log(self) -> str:
        """The end of what the gateway logged, for a row that fails."""
        return "".join(self._log)


def children(pid: int) -> list[int]:
    """The line processes of a gateway."""
    found = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [one for one in found if b"gateway.lines.child" in Path(f"/proc/{one}/cmdline").read_bytes()]


def environment(source: Source) -> dict[str, str]:
    """This process's, without settings of a gateway, with the accounts: passwords are in no file."""
    ours = ("FEEDGATE_", "CTP_", "SOPT_", "NATS_", "LOCPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    kept["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    if source.name == "tts":
        for name, account in source.feed().accounts.items():
            for field in ("broker_id", "user_id", "md_address"):
                kept[f"CTP_{name}_{field}".upper()] = str(getattr(account, field))
            kept[f"CTP_{name}_PASSWORD".upper()] = account.password.get_secret_value()
    return kept


def configuration(source: Source, server: NatsServer, ledger: Path) -> str:
    """The TOML file."""
    name = source.market.feed
    feed = source.feed()
    plain: dict[str, object] = {"kind": feed.kind, "instruments": feed.instruments, "host": feed.host}
    if feed.sessions:
        plain["sessions"] = feed.sessions
    tables: dict[str, Mapping[str, object]] = {
        f"feeds.{name}": plain,
        f"feeds.{name}.options": feed.options,
        "bus": {"urls": [server.url]},
        "subscriptions": {"login_per_minute": 60},
        "metrics": {"enabled": False},
        "ledger": {"path": str(ledger)},
    }
    if source.name == "sim":
        tables |= {f"feeds.{name}.accounts.{account}": {} for account in feed.accounts}
    lines = []
    for table, values in tables.items():
        lines += [f"[{table}]", *(f"{field} = {json.dumps(value)}" for field, value in values.items()), ""]
    return "\n".join(lines)


@asynccontextmanager
async def core_running(source: Source, ledger: Path) -> AsyncIterator[CoreRig]:
    """The whole thing; the gateway is stopped in order at the end."""
    witness = Witness()
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="feedgate-faults-")))
        server = await stack.enter_async_context(NatsServer())
        await stack.enter_async_context(source.running())
        (directory / "gateway.toml").write_text(configuration(source, server, ledger), encoding="utf-8")
        consuming = NatsBus([server.url], name="consumer", queue_limit=1_000_000)
        await consuming.start()
        stack.push_async_callback(consuming.aclose)
        client = Client(consuming, timeout=1.0)
        consumer = Consumer(client, source.key)
        stack.push_async_callback(consumer.aclose)
        await witness.read(consuming)
        stack.push_async_callback(witness.aclose)
        rig = CoreRig(source, server, consumer, witness, client, directory)
        stack.push_async_callback(rig.aclose)
        await rig.start()
        rig.tasks.append(asyncio.create_task(rig.look(), name="look at the lines"))
        try:
            await until(lambda: rig.carries_all("primary"), _STARTS_S, "start of gateway run")
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {rig.log()}") from None
        await consumer.start()
        rig.injected_ns = time.time_ns()
        yield rig
