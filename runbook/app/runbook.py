"""The one composition root: what CLI, API, pages and scheduler share."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from types import MappingProxyType, TracebackType
from typing import Self

from gateway.bus.opening import nats_login
from gateway.calendar import Calendar, CalendarError, load_calendar
from gateway.client import Client, connect
from gateway.clock import Clock, SystemClock
from gateway.errors import BusError, FeedgateError, SettingsError
from gateway.loader import Plugins
from runbook.app.builtin import MOCK_ANYWHERE, FiguredT5, builtin, composed
from runbook.app.heads import HeadPusher
from runbook.app.loading import Loaded
from runbook.audit import open_audit
from runbook.hookspecs import ActionKind
from runbook.model import ActionRequest, Role
from runbook.runner import ActionRunner, Kinds, Masker, Run, by_rank, collect_kinds, session_namer
from runbook.schedule.asking import RunAs
from runbook.schedule.desk import JobDesk
from runbook.schedule.jobs import build_jobs
from runbook.schedule.missed import accept_missed
from runbook.schedule.windows import MarketWindows
from runbook.settings import secrets_of
from runbook.settings.sessions import read_sessions
from runbook.supervisor.link import SupervisorLink
from runbook.supervisor.place import Place

log = logging.getLogger(__name__)


class Runbook:
    """Everything of one set of settings. For one event loop; ``async with`` or :meth:`aclose` ends it, idempotently.

    Making one blocks for a second or two (plugins and the calendar are imported) and raises nothing because of a
    plugin, an absent action or the calendar: see ``findings``.
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        clock: Clock | None = None,
        plugins: Plugins | None = None,
        calendar: Calendar | None = None,
    ) -> None:
        self.loaded = loaded
        with contextlib.suppress(OSError):  # whoever needs it says so with its own error
            loaded.runbook.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.settings, self.runbook = loaded.settings, loaded.runbook
        self.clock: Clock = clock or SystemClock()
        self.masker = Masker((*secrets_of(self.settings), *secrets_of(self.runbook)))
        self.findings: list[str] = []
        """What cannot be used, each with the fix."""
        self.plugins = plugins or Plugins.load(blocked=self.settings.plugins_blocked)
        self.calendar = calendar or self._calendar()
        self._jobless: FeedgateError = CalendarError(
            "there is no trading calendar, so there are no jobs; see the log for the reason"
        )
        self.windows = self._windows()
        self._namer = session_namer(self.calendar) if self.calendar is not None else None
        self.kinds = self._kinds()
        """As people may ask for them."""
        url = self.runbook.metrics.pushgateway_url
        self._heads = HeadPusher(url, timeout_s=self.runbook.metrics.push_timeout_s) if url else None
        key = self.runbook.audit_key
        self.audit = open_audit(
            self.runbook.audit_directory,
            self.clock,
            key=key.get_secret_value().encode() if key else None,
            log_dir=loaded.views_dir,
            witnesses=(self._heads,) if self._heads else (),
        )
        self.runner = ActionRunner(
            self._runnable(),
            self.audit,
            settings=self.settings,
            runbook=self.runbook,
            connect=self.connect,
            session=self.session,
            clock=self.clock,
            masker=self.masker,
            access=self._access,
        )
        for finding in self.findings:
            log.warning("%s", finding)

    # -- acting ------------------------------------------------------------------------------------------------

    async def run(self, request: ActionRequest, *, role: Role = Role.OPERATOR) -> Run:
        """Do it and wait for the end; see :meth:`ActionRunner.run`."""
        return await self.runner.run(request, role=role)

    async def submit(self, request: ActionRequest, *, role: Role = Role.OPERATOR) -> Run:
        """Have it done; see :meth:`ActionRunner.submit`."""
        return await self.runner.submit(request, role=role)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Client]:
        """A client of the running gateway, through NATS_URL or the server that the supervisor started.

        Raises BusError (12) when there is none.
        """
        bus = self.settings.bus
        urls = list(bus.urls) or [await self._bundled_url()]
        async with connect(urls, name=self.settings.name, **nats_login(bus)) as client:
            yield client

    def desk(self) -> JobDesk:
        """The jobs at this runner. Raises CalendarError without a calendar, SettingsError for a bad SESSION_CONFIG."""
        if self.windows is None:
            raise self._jobless
        return JobDesk(
            self.windows,
            self.runbook.schedule,
            self.runner,
            state_dir=self.runbook.state_dir,
            clock=self.clock,
            run_as=RunAs(profile=self.settings.profile, config=self.loaded.config_in_use),
        )

    # -- looking -----------------------------------------------------------------------------------------------

    def session(self, wall_ns: int) -> str:
        """``day``, ``night`` or ``closed`` at a moment (Unix nanoseconds); ``unknown`` where the calendar ends."""
        if self._namer is None:
            return "unknown"
        try:
            return self._namer(wall_ns)
        except CalendarError:
            return "unknown"

    def labels(self) -> dict[str, str]:
        """What every line of a log carries."""
        name = self.settings.active
        holders = [feed.accounts[name] for feed in self.settings.feeds.values() if name in feed.accounts]
        account = holders[0].account(name).masked if holders else name
        session = self.session(self.clock.wall_ns())
        return {"session": session, "config": name, "account": account, "active_feed": name}

    # -- life --------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Cancel what is under way, wait until it is recorded. Idempotent."""
        try:
            await self.runner.aclose()
        finally:
            if self._heads is not None:
                await asyncio.to_thread(self._heads.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # -- putting together --------------------------------------------------------------------------------------

    def _calendar(self) -> Calendar | None:
        try:
            days = self.settings.calendar
            return load_calendar(days.overrides, cache=days.cache_directory)
        except CalendarError as error:
            self.findings.append(f"calendar: {error}")
            return None

    def _windows(self) -> MarketWindows | None:
        if self.calendar is None:
            return None
        try:
            windows = MarketWindows(self.calendar, hours=read_sessions(self.runbook.session_config))
            build_jobs(windows, self.runbook.schedule)  # their times may not fit
        except SettingsError as error:
            self._jobless = error
            self.findings += error.findings
            return None
        return windows

    def _kinds(self) -> Kinds:
        modules, absent = builtin(self.loaded)
        found = collect_kinds(self.plugins.manager, modules)
        self.findings += [*absent, *found.findings]
        kinds = {name: composed(kind, self.loaded) for name, kind in found.by_name.items()}
        return Kinds(MappingProxyType(kinds), tuple(self.findings), found.clashes)

    def _runnable(self) -> Kinds:
        """The kinds, which also take what the scheduler says about missed moments."""
        kinds = list(self.kinds.by_name.values())
        if self.windows is not None:
            kinds = accept_missed(kinds, build_jobs(self.windows, self.runbook.schedule))
        by_name: Mapping[str, ActionKind] = {kind.name: _figured(kind) for kind in kinds}
        return replace(self.kinds, by_name=MappingProxyType(by_name))

    def _access(self, kind: ActionKind, request: ActionRequest, role: Role) -> str:
        if why := by_rank(kind, request, role):
            return why
        mock = request.mode == "mock"
        if mock != self.loaded.mock and kind.changes and kind.name not in MOCK_ANYWHERE:
            if mock:
                return f"{kind.name} would act on the real environment; mock has one of its own: runbook … --mock"
            return f"{kind.name} of mode live cannot be done in the mock environment; leave --mock out"
        return ""

    async def _bundled_url(self) -> str:
        try:
            status = await SupervisorLink(Place(self.runbook.state_dir)).status()
        except FeedgateError as error:
            raise BusError(f"NATS_URL is not set, and {error}") from error
        url = (status.get("nats") or {}).get("url")
        if not isinstance(url, str):
            raise BusError("the supervisor has not started a NATS server yet; run `runbook start`")
        return url


def _figured(kind: ActionKind) -> ActionKind:
    return replace(kind, build=lambda: FiguredT5(kind)) if kind.name == "t5-checkpoint" else kind
