"""Every query of the dashboards, asked of a real Prometheus that watched a drill with faults: no error, none empty."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from gateway import Gateway, Settings
from gateway.client import Client, connect
from gateway.model import LineState
from gateway.settings import MetricsSettings as GatewayMetrics
from runbook.actions.t5_checkpoint import push_status
from runbook.app import Loaded, Runbook
from runbook.context import ActionContext
from runbook.drill.faults import FAULTS
from runbook.drill.grounds import MockInjector, mock_settings
from runbook.drill.mock_line import MockFeeds
from runbook.model import ActionRequest, Trigger
from runbook.settings import ApiSettings, MetricsSettings, RunbookSettings
from runbook.supervisor.figures import push_startup
from runbook.web.serving import Serving, Wanted, serve
from tests.day.services import serving
from tests.monitoring.panels import Asked, questions
from tests.ports import free_port
from tests.unit.runbook.web.consoles import OPERATOR, TOKENS, VIEWER, the_calendar

DEADLINE_S = 60.0


class Prometheus:
    """What it answers."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._began = time.time()

    async def ask(self, one: Asked) -> list[Any]:
        """Its series; without those that never had a number."""
        now = time.time()
        if one.instant:
            given, path = {"query": one.expr}, "query"
        else:
            given = {"query": one.expr, "start": str(self._began), "end": str(now), "step": "0.5"}
            path = "query_range"
        answer = (await self._client.post(f"/api/v1/{path}", data=given)).json()
        assert answer["status"] == "success", (one, answer)
        return [series for series in answer["data"]["result"] if any(map(math.isfinite, numbers(series)))]

    async def value(self, expr: str) -> float:
        """The largest one; 0 where there is none."""
        answer = (await self._client.post("/api/v1/query", data={"query": expr})).json()
        return max((float(series["value"][1]) for series in answer["data"]["result"]), default=0.0)

    async def values_of(self, label: str, metric: str) -> list[str]:
        answer = await self._client.get(f"/api/v1/label/{label}/values", params={"match[]": metric})
        names: list[str] = answer.json()["data"]
        return names


def numbers(series: dict[str, Any]) -> list[float]:
    rows = series["values"] if "values" in series else [series["value"]]
    return [float(value) for _, value in rows]


@asynccontextmanager
async def console_of(settings: Settings, place: Path, pushgateway: str) -> AsyncIterator[Serving]:
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    made = RunbookSettings(
        state_dir=place / "state",
        log_dir=place / "logs",
        api=ApiSettings(tokens=TOKENS),
        metrics=MetricsSettings(pushgateway_url=pushgateway),
    )
    runbook = Runbook(Loaded(settings=settings, runbook=made, views_dir=place / "logs"), calendar=the_calendar())
    work = asyncio.create_task(
        serve(runbook, Wanted(host="127.0.0.1", port=0, jobs=False), ready.set_result, stop=stop)
    )
    try:
        await asyncio.wait({work, ready}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
        yield ready.result()
    finally:
        stop.set()
        await work


def configuration(place: Path, jobs: dict[str, str]) -> Path:
    """As deploy/prometheus has it, but often."""
    (place / "token").write_text(VIEWER)
    rows = [
        {"job_name": name, "honor_labels": name == "pushgateway", "static_configs": [{"targets": [target]}]}
        | ({"authorization": {"credentials_file": str(place / "token")}} if name == "runbook" else {})
        for name, target in jobs.items()
    ]
    config = place / "prometheus.yml"
    interval = {"scrape_interval": "500ms", "scrape_timeout": "500ms"}
    config.write_text(json.dumps({"global": interval, "scrape_configs": rows}))
    return config


async def until(true: Any, what: str) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await true():
            await asyncio.sleep(0.1)
            assert what


async def streaming(client: Client, line: str) -> bool:
    return any(one.line == line and one.state is LineState.STREAMING for one in (await client.status()).lines)


async def drill(gateway: Gateway, client: Client, console: httpx.AsyncClient, rules: Path) -> None:
    """A failover and a failback by the console, a killed line, a front that hangs up, a health check."""
    injector = MockInjector(gateway, client, rules)
    for action in ("check-feed-health", "failover", "failback"):
        body = {"reason": "drill", "profile": "test"}
        answer = await console.post(f"/api/runbook/{action}", json=body)
        assert answer.status_code == 202, answer.text
        run = answer.headers["location"]

        async def over(run: str = run) -> bool:
            return (await console.get(run)).json()["state"] == "done"

        await until(over, action)
    await injector.inject(FAULTS["kill-line"], "sim:backup")
    await until(lambda: restarted(client, "sim:backup"), "the killed line comes back")
    await injector.inject(FAULTS["dead-front"], "sim:backup")

    async def lost() -> bool:
        return not await streaming(client, "sim:backup")

    await until(lost, "the front hangs up")
    await injector.heal()
    await until(partial(streaming, client, "sim:backup"), "the front takes connections again")


async def restarted(client: Client, line: str) -> bool:
    rows = [one for one in (await client.status()).lines if one.line == line]
    return rows[0].restarts > 0 and rows[0].state is LineState.STREAMING


async def push(settings: Settings, place: Path, pushgateway: str) -> None:
    """What a supervised start and its checkpoint push."""
    metrics = MetricsSettings(pushgateway_url=pushgateway)
    assert await push_startup(metrics, window="day", profile="test", seconds=2.5) == ""
    context = ActionContext(
        run="r",
        request=ActionRequest(action="t5-checkpoint", operator="wang", trigger=Trigger.CLI, profile="test"),
        settings=settings,
        runbook=RunbookSettings(metrics=metrics),
        clock=None,  # type: ignore[arg-type]  # not asked
        log_dir=place,
        connect=None,  # type: ignore[arg-type]  # not asked
        tell=lambda _stage, _text, _fields: None,
    )
    assert await push_status(context, "day", ready=True) == ""


async def test_every_panel_has_an_answer_after_a_drill(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    port = free_port()
    settings = mock_settings(rules, contracts=40, rate=400.0).model_copy(
        update={"metrics": GatewayMetrics(host="127.0.0.1", port=port)}
    )
    with ExitStack() as stack:
        pushgateway = stack.enter_context(serving("prometheus-pushgateway", tmp_path, "--persistence.file="))
        async with Gateway(settings, plugins=[MockFeeds()]) as gateway:
            assert gateway.url is not None
            outside = settings.model_copy(update={"bus": settings.bus.model_copy(update={"urls": [gateway.url]})})
            async with (
                connect(gateway.url, name=settings.name) as client,
                client.ticks("*") as ticks,
                console_of(outside, tmp_path, pushgateway) as served,
                httpx.AsyncClient(
                    base_url=served.url, headers={"Authorization": f"Bearer {OPERATOR}"}, timeout=DEADLINE_S
                ) as console,
            ):
                reading = asyncio.create_task(read(ticks))
                targets = {
                    "gateway": f"127.0.0.1:{port}",
                    "runbook": served.url.removeprefix("http://"),
                    "pushgateway": pushgateway.removeprefix("http://"),
                }
                config = configuration(tmp_path, targets)
                data = f"--storage.tsdb.path={tmp_path / 'tsdb'}"
                url = stack.enter_context(serving("prometheus", tmp_path, f"--config.file={config}", data))
                async with httpx.AsyncClient(base_url=url, timeout=DEADLINE_S) as asked:
                    prometheus = Prometheus(asked)
                    await until(partial(streaming, client, "sim:backup"), "both lines")
                    up = partial(prometheus.value, 'sum(md_line_state{state="streaming"}) == 2')
                    await until(up, "the first scrape, so that what follows is an increase")
                    await drill(gateway, client, console, rules)
                    await push(settings, tmp_path, pushgateway)
                    await judge(prometheus)
                reading.cancel()
                await asyncio.wait({reading})


async def read(ticks: Any) -> None:
    async for _ in ticks:
        pass


async def judge(prometheus: Prometheus) -> None:
    asked = questions()
    assert len(asked) > 50
    empty: list[Asked] = asked

    async def answered() -> bool:
        nonlocal empty
        empty = [one for one in empty if not await prometheus.ask(one)]
        return not empty

    try:
        await until(answered, "all panels")
    except TimeoutError:
        raise AssertionError(f"empty: {[(one.board, one.panel, one.expr) for one in empty]}") from None
    # and the answers are about what happened
    by_title = {(one.board, one.panel): one for one in asked}

    async def seen(title: str) -> set[float]:
        return {value for row in await prometheus.ask(by_title["Lines & failover", title]) for value in numbers(row)}

    assert len(await seen("Line states")) > 1, "the killed line was never anything but streaming"
    assert await seen("Feed source over time") == {0.0, 1.0}
    assert max(await seen("Switches")) >= 2
    assert max(await seen("Restarts and disconnects")) > 0
    assert await seen("Failed switches") == {0.0}
    for label, metric in (
        ("instance", "md_gateway_epoch_seconds"),
        ("feed", "md_session"),
        ("account", "md_line_state"),
    ):
        assert await prometheus.values_of(label, metric), (label, metric)
