"""``runbook serve``: console and scheduler in one event loop, in the foreground."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

import uvicorn

from gateway.errors import FeedgateError
from runbook.app import Runbook
from runbook.schedule.desk import JobDesk
from runbook.schedule.scheduler import JobScheduler
from runbook.web.access import Access
from runbook.web.app import Application, build
from runbook.web.console import Console
from runbook.web.observatory import Observatory
from runbook.web.protocol import impatient

log = logging.getLogger(__name__)

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_BACKLOG: Final = 256
_CONNECTIONS_BESIDE_STREAMS: Final = 200
_HEAD_BYTES: Final = 32_768
_LAST_ANSWERS_S: Final = 5
_HIGHEST_PORT: Final = 65_535


class ServeError(FeedgateError):
    """The console cannot listen."""

    code = "serve"
    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody typed; None: as the settings say."""

    host: str | None = None
    port: int | None = None
    jobs: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A console that listens."""

    url: str
    access: str
    """Who may come in, in words."""
    jobs: str
    """Whether jobs run by themselves, in words."""
    application: Application


Ready = Callable[[Serving], None]


async def serve(runbook: Runbook, wanted: Wanted, ready: Ready, *, stop: asyncio.Event | None = None) -> None:
    """Serve until SIGTERM, SIGINT or ``stop``; then end the streams, answer what is asked, stop jobs and runs in order.

    A second signal ends the process at once. Raises SettingsError and ServeError before anything is started.
    """
    api = runbook.runbook.api
    host = wanted.host if wanted.host is not None else api.host
    port = wanted.port if wanted.port is not None else api.port
    access = Access(api, runbook.runbook.state_dir / "console", runbook.clock, listens_on=host)
    sock = await asyncio.to_thread(listen, host, port)
    async with AsyncExitStack() as stack:
        stack.callback(sock.close)
        await stack.enter_async_context(runbook)
        desk, jobs = _desk(runbook, wanted=wanted.jobs)
        console = Console(runbook=runbook, observatory=Observatory(runbook), jobs=desk)
        application = build(console, access=access)
        stopping = stop or asyncio.Event()
        stack.enter_context(_signals(stopping))
        if desk is not None and wanted.jobs:
            await stack.enter_async_context(JobScheduler(desk, clock=runbook.clock))
        told = Serving(url=_url(host, sock), access=access.in_words(), jobs=jobs, application=application)
        await listen_until(stopping, application, sock, lambda: ready(told))


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Blocks while a name is looked up. Raises ServeError."""
    where = f"{host}:{port}"
    if not 0 <= port <= _HIGHEST_PORT:  # the resolver would count on from 0
        raise ServeError(f"{where}: there is no such port; use 1 to 65535, or 0 for a free one")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ServeError(f"{where}: {error.strerror}; set runbook.api.host to an address of this machine") from None
    family, kind, protocol, _, address = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise ServeError(f"{where}: {_why(error)}") from None
    return sock


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            "another program listens there, perhaps another runbook serve; stop it, or use another port (--port, "
            "OPS_API_PORT; 0: a free one)"
        )
    if error.errno == errno.EACCES:
        return "this user may not use the port; use one above 1023 (--port, OPS_API_PORT)"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address; use one that it has (--host, RUNBOOK_API__HOST)"
    return f"{error.strerror}; use another address (--host, --port)"


def _desk(runbook: Runbook, *, wanted: bool) -> tuple[JobDesk | None, str]:
    try:
        desk = runbook.desk()
    except FeedgateError as error:
        log.warning("no jobs: %s", error)
        return None, "no jobs: there is no calendar that can be used"
    if not wanted:
        return desk, "jobs do not run by themselves (--no-jobs)"
    if not desk.settings.enabled:
        return desk, "jobs do not run by themselves (RUNBOOK_SCHEDULE__ENABLED=false)"
    return desk, f"{len(desk.jobs)} jobs run by the calendar"


def _url(host: str, sock: socket.socket) -> str:
    shown = "127.0.0.1" if host in ("", "0.0.0.0") else "[::1]" if host == "::" else host  # noqa: S104 - only shown
    if ":" in shown and not shown.startswith("["):
        shown = f"[{shown}]"
    return f"http://{shown}:{sock.getsockname()[1]}"


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: they would end the process by the signal once more, after all is done."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def listen_until(
    stopping: asyncio.Event, application: Application, sock: socket.socket, ready: Callable[[], None]
) -> None:
    """Serve an application on a listening socket until ``stopping``; ``ready`` is called once it answers."""
    api = application.runtime.console.runbook.runbook.api
    server = _Server(
        uvicorn.Config(
            application,
            http=impatient(api.request_s, application.runtime.meters),
            ws="none",
            loop="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(api.proxies),
            forwarded_allow_ips=list(api.proxies),
            limit_concurrency=api.streams + _CONNECTIONS_BESIDE_STREAMS,
            timeout_keep_alive=max(1, int(api.request_s)),
            timeout_graceful_shutdown=_LAST_ANSWERS_S,
            h11_max_incomplete_event_size=_HEAD_BYTES,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[sock]), name="http server")
    waiting = asyncio.create_task(stopping.wait(), name="stop")
    try:
        await _started(server, serving)
        ready()
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        application.runtime.hang_up()
        server.should_exit = True
        await asyncio.wait({serving})
        await application.aclose()
    serving.result()


async def _started(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)


@contextmanager
def _signals(stopping: asyncio.Event) -> Iterator[None]:
    """The first SIGTERM or SIGINT sets it; a second one ends the process at once."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        stopping.set()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    try:
        for number in _SIGNALS:
            loop.add_signal_handler(number, on_signal)
    except (ValueError, RuntimeError, NotImplementedError):  # not in the main thread: whoever has it decides
        yield
        return
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
