"""The runbook of a gateway that runs inside somebody's program: its actions, its audit, its console.

::

    async with Gateway(settings) as gw, Runbook(gw) as ops:
        app.mount("/ops", ops.asgi_app())
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from gateway import Gateway
from gateway.client import Client
from gateway.clock import Clock
from gateway.errors import BusError, FeedgateError
from runbook.app import Loaded
from runbook.app import Runbook as Composition
from runbook.hookspecs import ActionKind
from runbook.model import ActionRequest, Role
from runbook.schedule.desk import JobDesk
from runbook.settings import RunbookSettings
from runbook.web.app import Application, build
from runbook.web.console import Console
from runbook.web.observatory import Observatory

NOT_HERE: Final = frozenset({"start", "stop", "restart", "rollback"})
"""Actions on the process that a gateway runs in."""


class EmbeddedRunbook(Composition):
    """``runbook.Runbook``: everything that operators do, on a running gateway of this process and event loop.

    It opens no connection, it uses the gateway's bus. What starts, stops or replaces the gateway is refused (77): that
    is the program's own business. Jobs are listed, and run when somebody asks; none runs by itself. ``async with`` or
    :meth:`aclose` ends it, idempotently; leave it before the gateway.
    """

    def __init__(
        self, gateway: Gateway, settings: RunbookSettings | None = None, *, clock: Clock | None = None
    ) -> None:
        """``settings`` are read from nowhere: made in code, or ``load_runbook_settings(…)``; None: the defaults.

        Blocks for a second or two. The defaults keep audit and runs in ``state/runbook`` of the working directory.
        """
        runbook = settings or RunbookSettings()
        loaded = Loaded(settings=gateway.settings, runbook=runbook, views_dir=runbook.log_dir)
        self._gateway = gateway
        self._application: Application | None = None
        super().__init__(loaded, clock=clock, plugins=gateway.plugins)

    def asgi_app(self) -> Application:
        """The console and the API: an ASGI application for any server, or to be mounted into another one.

        One for each runbook. Without tokens in the settings it lets in clients of this machine only. Raises
        SettingsError.
        """
        if self._application is None:
            console = Console(runbook=self, observatory=Observatory(self), jobs=self._jobs(), embedded=True)
            self._application = build(console)
        return self._application

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Client]:
        """A client over the gateway's own bus. Raises BusError (12) while the gateway does not run."""
        try:
            bus = self._gateway.bus
        except FeedgateError as error:
            raise BusError(str(error)) from None
        async with Client(bus, name=self.settings.name) as client:
            yield client

    async def aclose(self) -> None:
        """End the console, cancel what is under way, wait until it is recorded. Idempotent."""
        if self._application is not None:
            await self._application.aclose()
        await super().aclose()

    def _access(self, kind: ActionKind, request: ActionRequest, role: Role) -> str:
        if kind.name in NOT_HERE:
            return f"{kind.name}: this gateway is part of a program, which alone starts and stops it; ask its owner"
        return super()._access(kind, request, role)

    def _jobs(self) -> JobDesk | None:
        try:
            return self.desk()
        except FeedgateError:
            return None  # a finding already
