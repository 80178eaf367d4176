"""One table from errors to problems."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from litestar import Litestar, get
from litestar.exceptions import HTTPException, NotAuthorizedException, TooManyRequestsException
from litestar.testing import AsyncTestClient

from gateway.errors import BusError, CatalogueError, ControlError, FeedgateError, LineError, SettingsError
from runbook.audit import AuditError
from runbook.runner.access import RefusedError
from runbook.runner.kinds import UnknownActionError
from runbook.schedule.asking import UnknownJobError
from runbook.web.errors import HANDLERS, ApiError, prefers_html, problem_of, status_of_exit
from tests.unit.runbook.web.consoles import OPERATOR, TOKENS, asking, console_in


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BusError("x"), 503),
        (LineError("x"), 503),
        (CatalogueError("x"), 503),
        (AuditError("x"), 503),
        (SettingsError(["x"]), 503),
        (UnknownActionError("x"), 404),
        (UnknownJobError("x"), 404),
        (RefusedError(64, "x"), 400),
        (RefusedError(75, "x"), 409),
        (RefusedError(77, "x"), 403),
        (RefusedError(124, "x"), 504),
        (ControlError("x", reply_code="control"), 400),
        (ControlError("x", reply_code="busy"), 409),
        (ControlError("x", reply_code="timeout"), 504),
        (ControlError("x", reply_code="no_responder"), 503),
        (ControlError("x"), 503),
        (FeedgateError("x"), 500),
        (ApiError(418, "tea", "x"), 418),
    ],
)
def test_each_error_has_its_status(error: Exception, status: int) -> None:
    found, _ = problem_of(error)
    assert found.status == status
    assert found.type == f"urn:feedgate:problem:{found.code}"


@pytest.mark.parametrize(("exit_code", "status"), [(64, 400), (75, 409), (77, 403), (11, 503), (2, 500)])
def test_refusals_of_the_runner_have_the_status_of_their_exit_code(exit_code: int, status: int) -> None:
    assert status_of_exit(exit_code) == status


def test_the_last_clause_of_a_message_is_the_fix() -> None:
    found, _ = problem_of(BusError("NATS at x refuses us; set NATS_USER"))
    assert (found.detail, found.fix, found.exit_code) == ("NATS at x refuses us; set NATS_USER", "set NATS_USER", 12)


def test_headers_of_an_error_are_kept() -> None:
    assert problem_of(TooManyRequestsException("x", headers={"Retry-After": "7"}))[1] == {"Retry-After": "7"}
    found, headers = problem_of(NotAuthorizedException("x", headers={"WWW-Authenticate": "Bearer"}))
    assert (found.status, headers) == (401, {"WWW-Authenticate": "Bearer"})


@pytest.mark.parametrize(
    "error", [ValueError("secret-in-a-message"), KeyError("k"), RecursionError(), HTTPException("secret-in-a-message")]
)
async def test_nothing_of_an_unforeseen_error_is_told(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    @get("/fails")
    async def fails() -> None:
        raise error

    app = Litestar([fails], exception_handlers=dict(HANDLERS), openapi_config=None, logging_config=None)
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        answer = await client.get("/fails")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret-in-a-message" not in answer.text
    assert "Traceback" not in answer.text
    assert any(record.exc_info for record in caplog.records)  # it is in the log


CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "path", "html"),
    [
        (CHROMIUM, "/lines", True),
        (CHROMIUM, "/api/status", False),
        (CHROMIUM, "/api", False),
        (CHROMIUM, "/schema/openapi.json", False),
        (CHROMIUM, "/apiary", True),
        ("*/*", "/lines", False),
        ("", "/lines", False),
        ("application/json", "/lines", False),
        ("application/json, text/html;q=0.5", "/lines", False),
        ("text/html;q=0", "/lines", False),
        ("text/html;q=nonsense", "/lines", False),
    ],
)
def test_browsers_get_a_page_and_programs_a_problem(accept: str, path: str, html: bool) -> None:
    request: Any = SimpleNamespace(scope={"path": path}, headers={"accept": accept})
    assert prefers_html(request) is html


async def test_a_page_that_is_not_there_is_shown_as_a_page(tmp_path: Path) -> None:
    async with console_in(tmp_path, tokens=TOKENS) as app, asking(app, OPERATOR, accept=CHROMIUM) as client:
        answer = await client.get("/<script>alert(1)</script>")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "<script>alert" not in answer.text
        for_programs = await client.get("/nosuch", headers={"accept": "*/*"})
        assert for_programs.json()["code"] == "not_found"


async def test_a_method_that_a_path_has_not_is_refused_with_those_it_has(tmp_path: Path) -> None:
    async with console_in(tmp_path, tokens=TOKENS) as app, asking(app, OPERATOR) as client:
        answer = await client.put("/api/status")
        assert (answer.status_code, answer.json()["code"]) == (405, "method")
        assert set(answer.headers["allow"].split(", ")) >= {"GET", "OPTIONS"}
        options = await client.options("/api/status")
        assert (options.status_code, "GET" in options.headers["allow"]) == (204, True)
