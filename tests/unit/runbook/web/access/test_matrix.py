"""Every route × every role × every method: what is not allowed is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar.routes import HTTPRoute

from runbook.model import Role
from runbook.web.access.guard import RANK
from runbook.web.app import Application
from tests.unit.runbook.web.consoles import ADMIN, OPERATOR, TOKENS, VIEWER, asking, console_in

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
HOLDERS = {None: "", Role.VIEWER: VIEWER, Role.OPERATOR: OPERATOR, Role.ADMIN: ADMIN}
PUBLIC = {"/healthz", "/readyz", "/login", "/logout", "/preferences", "/static/{file_path:path}"}
"""Nothing else may be had without a token."""
HEARD_BEFORE_ALL_ELSE = (401, 403)


def routes(app: Application) -> Iterator[tuple[str, str, object]]:
    """Path, method and the role that it declares (True: public)."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                for method in handler.http_methods:
                    if method != "OPTIONS":
                        declared = True if handler.opt.get("public") is True else handler.opt.get("role")
                        yield route.path_format, method, declared


def address(path: str) -> str:
    """With something for each parameter."""
    parts = path.split("/")
    return "/".join("20260101T000000-00000000" if part.startswith("{") else part for part in parts)


async def test_every_route_says_who_may_use_it_and_only_the_expected_ones_are_public(tmp_path: Path) -> None:
    async with console_in(tmp_path, tokens=TOKENS) as app:
        declared = list(routes(app))
    assert len(declared) > 40
    silent = [(method, path) for path, method, who in declared if who is not True and not isinstance(who, Role)]
    assert silent == []
    public = {path for path, _, who in declared if who is True}
    assert public <= {path.replace("{file_path:path}", "{file_path}") for path in PUBLIC} | PUBLIC


async def test_nobody_gets_what_a_route_does_not_allow_whatever_the_method(tmp_path: Path) -> None:
    async with console_in(tmp_path, tokens=TOKENS, actions_per_minute=10_000) as app:
        allowed = {(path, method): who for path, method, who in routes(app)}
        wrong = []
        refused = 0
        for holder, token in HOLDERS.items():
            async with asking(app, token) as client:
                for path in sorted({path for path, _ in allowed}):
                    for method in METHODS:
                        who = allowed.get((path, method))
                        if who is True or (isinstance(who, Role) and holder and RANK[holder] >= RANK[who]):
                            continue  # allowed: what it answers is for other tests
                        answer = await client.request(method, address(path))
                        expected = (405,) if who is None else HEARD_BEFORE_ALL_ELSE
                        refused += 1
                        if answer.status_code not in expected:
                            wrong.append((method, path, holder, answer.status_code))
    assert wrong == []
    assert refused > 300


async def test_who_shows_nothing_is_asked_who_they_are_and_who_may_not_is_told_so(tmp_path: Path) -> None:
    async with console_in(tmp_path, tokens=TOKENS) as app:
        async with asking(app) as client:
            answer = await client.get("/metrics")
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
        async with asking(app, VIEWER) as client:
            assert (await client.get("/metrics")).status_code == 200
            answer = await client.post("/api/runbook/failover", json={"reason": "x"})
            assert answer.status_code == 403
            assert "viewer" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/no/such", "/static/../../pyproject.toml", "/static/%2e%2e/app.py", "/API/STATUS"])
async def test_what_is_not_there_gives_nothing_away(tmp_path: Path, path: str) -> None:
    async with console_in(tmp_path, tokens=TOKENS) as app, asking(app) as client:
        assert (await client.get(path)).status_code in (401, 404)


async def test_a_route_that_declares_nothing_is_for_nobody(tmp_path: Path) -> None:
    from litestar import get

    @get("/forgotten")
    async def forgotten() -> str:
        return "seen"

    async with console_in(tmp_path, tokens=TOKENS) as app:
        app.register(forgotten)
        async with asking(app, ADMIN) as client:
            assert (await client.get("/forgotten")).status_code == 403
