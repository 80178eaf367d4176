"""The OpenAPI document: complete enough to write a client from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.runbook.web.consoles import TOKENS, VIEWER, asking, console_in


@pytest.fixture
async def document(tmp_path: Path) -> dict[str, Any]:
    async with console_in(tmp_path, tokens=TOKENS) as app, asking(app, VIEWER) as client:
        found: dict[str, Any] = (await client.get("/schema/openapi.json")).json()
        assert yaml.safe_load((await client.get("/schema/openapi.yaml")).text)["paths"].keys() == found["paths"].keys()
        assert (await client.get("/schema")).status_code != 500
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if path.startswith("/api/"):
                yield f"{method} {path}", operation


def test_it_has_every_path_and_no_page(document: dict[str, Any]) -> None:
    paths = set(document["paths"])
    assert {
        *("/api/status", "/api/health", "/api/metrics/summary", "/api/metrics/timeseries", "/api/lines"),
        *("/api/subscriptions", "/api/coverage", "/api/gaps", "/api/audit", "/api/audit/verify", "/api/plugins"),
        *("/api/runbook/actions", "/api/runbook/{action}", "/api/runbook/runs", "/api/runbook/runs/{run_id}"),
        *("/api/runbook/runs/{run_id}/log", "/api/runbook/runs/{run_id}/cancel", "/api/runbook/runs/{run_id}/events"),
        *("/api/jobs", "/api/jobs/{name}/run", "/api/jobs/{name}/pause", "/api/jobs/{name}/resume", "/api/events"),
    } <= paths
    assert not paths & {"/", "/login", "/gaps", "/audit", "/lines"}


def test_every_operation_says_what_it_does_and_which_problems_there_are(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert document["security"]
    for name, operation in operations(document):
        assert operation.get("description") or operation.get("summary"), name
        if "/events" in name:
            continue
        assert {"400", "401", "403", "429"} <= set(operation["responses"]), name
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert set(response["content"]) == {"application/problem+json"}, (name, status)
        for parameter in operation.get("parameters", []):
            if parameter["in"] != "path":
                assert parameter.get("description"), (name, parameter["name"])


def test_every_field_of_every_answer_is_described(document: dict[str, Any]) -> None:
    bare = [
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, inside in schema.get("properties", {}).items()
        if "description" not in inside and "$ref" not in inside and "oneOf" not in inside
    ]
    assert bare == []


def test_lists_that_come_as_csv_say_so(document: dict[str, Any]) -> None:
    both = {
        name
        for name, operation in operations(document)
        if "text/csv" in operation["responses"].get("200", {}).get("content", {})
    }
    assert both == {"get /api/subscriptions", "get /api/gaps", "get /api/audit"}


def test_asking_for_an_action_is_shown_by_examples(document: dict[str, Any]) -> None:
    operation = document["paths"]["/api/runbook/{action}"]["post"]
    assert set(operation["responses"]) >= {"200", "202", "404", "409"}
    names = {parameter["name"] for parameter in operation["parameters"]}
    assert names == {"action", "Idempotency-Key"}
    busy = operation["responses"]["409"]["content"]["application/problem+json"]["examples"]
    assert any(example["value"]["code"] == "busy" for example in busy.values())


async def test_the_document_is_not_for_strangers(tmp_path: Path) -> None:
    async with console_in(tmp_path, tokens=TOKENS) as app, asking(app) as nobody:
        assert (await nobody.get("/schema/openapi.json")).status_code == 401
