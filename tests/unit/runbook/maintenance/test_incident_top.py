"""The snapshot of ``gateway top`` in an incident report, of a gateway that answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from gateway.bus.memory import MemoryBus
from gateway.client import Client
from gateway.control.service import ControlService
from runbook.actions.incident import IncidentParameters, incident
from tests.unit.control.market import Market
from tests.unit.runbook.maintenance.test_incident import contents


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    bus = MemoryBus()
    await bus.start()
    yield bus
    await bus.aclose()


async def test_a_report_holds_what_gateway_top_would_have_shown(desk: Any, bus: MemoryBus) -> None:
    market = Market(bus)
    market.warned.append("line sim:backup is lost")
    await ControlService(bus, market, "feedgate", figures=market.figures).start()

    @asynccontextmanager
    async def connecting() -> AsyncIterator[Client]:
        async with Client(bus) as client:
            yield client

    await incident(replace(desk.context("incident"), connect=connecting), IncidentParameters(trigger="no ticks"))
    (path,) = desk.settings.incident_dir.iterdir()
    files = contents(path)
    assert "status.json" in files
    assert files["top.txt"].startswith("Feedgate top · feedgate 0.1.0 · 2026-11-20 12:00:00 Shanghai")
    assert "! line sim:backup is lost" in files["top.txt"]
    assert json.loads(files["top.json"])["kind"] in files["top.json"]
    assert "line sim:backup is lost" in files["top.json"]
    assert "gateway top" not in files["incident.yaml"]
