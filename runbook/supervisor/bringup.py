"""The stages of a start and of a restart, as things to do on a site."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.calendar import Calendar
from gateway.errors import FeedgateError, SettingsError
from gateway.model import SHANGHAI
from runbook.model import Exit, Window
from runbook.settings.sessions import read_sessions
from runbook.supervisor.keeper import ProcessState
from runbook.supervisor.nodes import usable_node
from runbook.supervisor.probes import (
    IncompleteError,
    MetricsError,
    SubscriptionProbe,
    metrics_answer,
    monitoring_answers,
)
from runbook.supervisor.remedies import checked_fronts, checked_network, manual_subscription, refreshed_secrets
from runbook.supervisor.site import Site
from runbook.supervisor.stages import Remedy, Stage, Tell
from runbook.supervisor.t5 import T5Book, checkpoint_of

READY: Final = "HEALTH=READY"
"""Log marker. Source: operators' contract, §5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How a start or restart is meant."""

    window: Window | None = None
    debug: bool = False


class Bringup:
    """Makes the stages; each method makes one, to be run once."""

    def __init__(self, site: Site) -> None:
        self.probe = SubscriptionProbe(site.timers)
        self._site = site
        self._timers = site.timers
        self._calendar: Calendar | None = None
        self._exporter_silent = False

    def environment(self) -> Stage:
        async def do(_attempt: int, _limit_s: float) -> str:
            settings, self._site.runbook = await asyncio.to_thread(self._site.parts.load)
            await asyncio.to_thread(read_sessions, self._site.runbook.session_config)  # T-5 would find it out too late
            if settings.bus.kind == "memory":
                raise SettingsError(["bus.kind: memory serves one process only; use nats"])
            if not settings.feeds:
                raise SettingsError(["no feed is configured; give an env file with CTP_PRIMARY_* or [feeds.NAME]"])
            if self._site.running and settings.bus != self._site.settings.bus:
                raise SettingsError(["bus: has changed while NATS or the gateway runs; run `runbook stop` first"])
            self._site.take(settings)
            return f"profile {settings.profile}, feeds {', '.join(settings.feeds)}"

        next_step = "correct the settings that are named (`runbook validate-env` shows all), then start again"

        async def at_once() -> str:
            return "reading the settings anew and verifying them"

        async def remedy() -> Remedy:
            vault = self._site.runbook.vault
            read = vault.runtime_file.absolute() in [file.absolute() for file in self._site.parts.env_files]
            return await refreshed_secrets(vault, self._timers.clock, read=read, profile=self._site.settings.profile)

        return Stage(
            name="environment",
            exit_code=Exit.ENVIRONMENT,
            do=do,
            next_step=next_step,
            at_once=at_once,
            remedy=remedy,
        )

    def nats(self) -> Stage:
        async def do(_attempt: int, limit_s: float) -> str:
            if self._site.nats is not None:
                await self._site.nats.start(limit_s)
                return f"bundled server on {self._site.nats_program.url}"
            return await usable_node(self._site.settings.bus, limit_s)

        async def at_once() -> str:
            if self._site.nats is not None:
                return "starting the server again"
            return "asking every node of NATS_URL again; an external server is not ours to restart"

        async def remedy() -> Remedy:
            if self._site.nats is not None:
                return Remedy("no next node: the bundled server is alone; NATS_URL=nats://HOST:4222 names another one")
            return Remedy("no next node: none of NATS_URL can be used; start one, or add another one to NATS_URL")

        if self._site.external:
            next_step = "start that NATS or the next node, or correct NATS_URL, NATS_USER and NATS_PASSWORD"
        else:
            next_step = "free the port (FEEDGATE_BUS__BUNDLED_PORT) or mend the server (nats.log), then start again"
        return Stage(name="nats", exit_code=Exit.NATS, do=do, next_step=next_step, at_once=at_once, remedy=remedy)

    def gateway(self, order: Order, *, anew: bool = False) -> Stage:
        async def do(attempt: int, limit_s: float) -> str:
            keeper = self._site.gateway
            if keeper.state is ProcessState.RUNNING and not anew:
                try:
                    await self._timers.within(limit_s, self._site.gateway_program.answers())
                except TimeoutError:
                    keeper.kill()  # it would not hear anything else; the next try starts it again
                    raise
                return f"{self._site.settings.name} runs and answers"
            if anew and attempt == 1:
                await keeper.stop()
            self._site.gateway_program.nats_url = None if self._site.external else self._site.nats_program.url
            self._site.gateway_program.debug = order.debug or attempt > 1  # contract §9: restart with --debug
            await keeper.start(limit_s)
            return f"{self._site.settings.name} answers and is logged in"

        async def at_once() -> str:
            return "starting it again with --debug"

        async def remedy() -> Remedy:
            return await checked_fronts(self._site.settings)

        next_step = "see gateway.log; check the front's address, the login and the market's hours, then start again"
        return Stage(
            name="gateway",
            exit_code=Exit.GATEWAY,
            do=do,
            next_step=next_step,
            unready=self._site.gateway_program.unready,
            at_once=at_once,
            remedy=remedy,
        )

    def subscriptions(self) -> Stage:
        threshold = self._site.runbook.health.coverage_threshold

        async def do(attempt: int, limit_s: float) -> str:
            try:
                return await self._timers.within(limit_s, self._subscribed(attempt))
            except (TimeoutError, IncompleteError):
                if attempt == self._site.runbook.start.tries and self.probe.ratio >= threshold:
                    return f"warning: {self.probe.last}; that is at the threshold of {threshold:g} or above"
                raise

        async def at_once() -> str:
            return f"asking anew for what is missing ({self.probe.last}), as `check-feed-health --mode enforce` does"

        async def remedy() -> Remedy:
            return manual_subscription(self.probe.missing, self._site.settings.profile)

        next_step = "run `runbook check-feed-health --mode enforce`, then `runbook subscribe`; or `runbook stop`"
        return Stage(
            name="subscriptions",
            exit_code=Exit.SUBSCRIPTIONS,
            do=do,
            next_step=next_step,
            unready=lambda: self.probe.last,
            at_once=at_once,
            remedy=remedy,
        )

    async def _subscribed(self, attempt: int) -> str:
        async with self._site.connect() as client:
            if attempt > 1:
                await self.probe.again(client)
            return await self.probe.complete(client)

    def health(self, tell: Tell, before: frozenset[str] = frozenset()) -> Stage:
        """``before``: what ran before this start, and is not restarted for the sake of its figures."""

        async def do(_attempt: int, limit_s: float) -> str:
            text, code = await self._timers.within(limit_s, self._healthy())
            tell("health", READY, {"marker": READY, "exit_code": code, "text": text})
            return text if code == Exit.OK else f"warning: {text}"

        async def at_once() -> str:
            if not self._exporter_silent:
                return "looking again; exporters of others: `systemctl restart prometheus prometheus-pushgateway`"
            if "gateway" in before:
                return "the exporter is part of the gateway, which ran before; `runbook restart` restarts both"
            await self._site.gateway.stop()
            await self._site.gateway.start(self._site.runbook.start.stage_timeout_s)
            return "the exporter was restarted, and the gateway with it"

        async def remedy() -> Remedy:
            return await checked_network(self._site.settings, self._site.runbook)

        next_step = "run `runbook check-feed-health --mode enforce` or restart the exporters; see gateway.log"
        return Stage(name="health", exit_code=Exit.METRICS, do=do, next_step=next_step, at_once=at_once, remedy=remedy)

    async def _healthy(self) -> tuple[str, int]:
        self._exporter_silent = False
        try:
            figures = await metrics_answer(self._site.settings.metrics)
        except MetricsError:
            self._exporter_silent = True
            raise
        figures += f"; {await monitoring_answers(self._site.runbook.metrics)}"
        async with self._site.connect() as client:
            code, text = await self._site.parts.health.check(client, self._site.settings, self._site.runbook)
        if code not in (Exit.OK, Exit.WARNING):
            raise FeedgateError(f"health is {code}: {text}")
        return f"{text}; {figures}", code

    def t5(self, order: Order) -> Stage:
        async def do(_attempt: int, _limit_s: float) -> str:
            if order.window is None:
                return "not checked: no window was given"
            if self._calendar is None:
                self._calendar = await asyncio.to_thread(self._site.parts.calendar)
            moment = datetime.fromtimestamp(self._timers.clock.wall_ns() / 1e9, SHANGHAI)
            runbook = self._site.runbook
            hours = await asyncio.to_thread(read_sessions, runbook.session_config)
            checkpoint = checkpoint_of(self._calendar, order.window, moment, runbook.start.t5_lead_s, hours)
            if checkpoint is None:
                return f"not checked: no {order.window} session is ahead or open on {moment:%Y-%m-%d}"
            return T5Book(self._site.runbook.state_dir / "t5.json").judge(checkpoint, moment)

        return Stage(name="t5", exit_code=Exit.T5_MISSED, do=do, next_step="notify the desk", tries=1)
