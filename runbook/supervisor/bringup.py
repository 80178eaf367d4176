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
from runbook.supervisor.probes import SubscriptionProbe, metrics_answer, prometheus_answers
from runbook.supervisor.site import Site
from runbook.supervisor.stages import Stage, Tell
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

    def environment(self) -> Stage:
        async def do(_attempt: int, _limit_s: float) -> str:
            settings, self._site.runbook = await asyncio.to_thread(self._site.parts.load)
            if settings.bus.kind == "memory":
                raise SettingsError(["bus.kind: memory serves one process only; use nats"])
            if not settings.feeds:
                raise SettingsError(["no feed is configured; give an env file with CTP_PRIMARY_* or [feeds.NAME]"])
            if self._site.running and settings.bus != self._site.settings.bus:
                raise SettingsError(["bus: has changed while NATS or the gateway runs; run `runbook stop` first"])
            self._site.take(settings)
            return f"profile {settings.profile}, feeds {', '.join(settings.feeds)}"

        next_step = "correct the settings that are named (`runbook validate-env` shows all), then start again"
        return Stage(name="environment", exit_code=Exit.ENVIRONMENT, do=do, next_step=next_step, tries=1)

    def nats(self) -> Stage:
        async def do(_attempt: int, limit_s: float) -> str:
            if self._site.nats is not None:
                await self._site.nats.start(limit_s)
                return f"bundled server on {self._site.nats_program.url}"
            await self._timers.within(limit_s, self._reach_nats())
            return f"external server {self._site.nats_url} answers"

        if self._site.external:
            next_step = "start that NATS or the next node, or correct NATS_URL, NATS_USER and NATS_PASSWORD"
        else:
            next_step = "free the port (FEEDGATE_BUS__BUNDLED_PORT) or mend the server (nats.log), then start again"
        return Stage(name="nats", exit_code=Exit.NATS, do=do, next_step=next_step)

    async def _reach_nats(self) -> None:
        async with self._site.connect():
            pass

    def gateway(self, order: Order, *, anew: bool = False) -> Stage:
        async def do(attempt: int, limit_s: float) -> str:
            if anew and attempt == 1:
                await self._site.gateway.stop()
            self._site.gateway_program.nats_url = None if self._site.external else self._site.nats_program.url
            self._site.gateway_program.debug = order.debug or attempt > 1  # contract §9: restart with --debug
            await self._site.gateway.start(limit_s)
            return f"{self._site.settings.name} answers and is logged in"

        next_step = "see gateway.log; check the front's address, the login and the market's hours, then start again"
        return Stage(name="gateway", exit_code=Exit.GATEWAY, do=do, next_step=next_step)

    def subscriptions(self) -> Stage:
        async def do(attempt: int, limit_s: float) -> str:
            return await self._timers.within(limit_s, self._subscribed(attempt))

        next_step = "run `runbook check-feed-health --mode enforce`, then `runbook subscribe`; or `runbook stop`"
        return Stage(
            name="subscriptions",
            exit_code=Exit.SUBSCRIPTIONS,
            do=do,
            next_step=next_step,
            unready=lambda: self.probe.last,
        )

    async def _subscribed(self, attempt: int) -> str:
        async with self._site.connect() as client:
            if attempt > 1:
                await self.probe.again(client)
            return await self.probe.complete(client)

    def health(self, tell: Tell) -> Stage:
        async def do(_attempt: int, limit_s: float) -> str:
            text, code = await self._timers.within(limit_s, self._healthy())
            tell("health", READY, {"marker": READY, "exit_code": code, "text": text})
            return text if code == Exit.OK else f"warning: {text}"

        next_step = "run `runbook check-feed-health --mode enforce` or restart the exporters; see gateway.log"
        return Stage(name="health", exit_code=Exit.METRICS, do=do, next_step=next_step)

    async def _healthy(self) -> tuple[str, int]:
        figures = await metrics_answer(self._site.settings.metrics)
        figures += f"; {await prometheus_answers(self._site.runbook.metrics.prometheus_url)}"
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
            checkpoint = checkpoint_of(self._calendar, order.window, moment, self._site.runbook.start.t5_lead_s)
            if checkpoint is None:
                return f"not checked: no {order.window} session is ahead or open on {moment:%Y-%m-%d}"
            return T5Book(self._site.runbook.state_dir / "t5.json").judge(checkpoint, moment)

        return Stage(name="t5", exit_code=Exit.T5_MISSED, do=do, next_step="notify the desk", tries=1)
