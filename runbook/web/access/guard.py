"""Deny by default: a route says who may use it, or nobody may."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException, TooManyRequestsException
from litestar.handlers import BaseRouteHandler

from runbook.model import Role
from runbook.web.access.origin import SAFE
from runbook.web.access.policy import Access
from runbook.web.console import Principal

RANK: Final = {role: rank for rank, role in enumerate(Role)}
STATE: Final = "access"
"""Where the application's state keeps its :class:`Access`."""


def is_public(opt: Mapping[str, Any]) -> bool:
    """Whether a route needs nobody: login, static files, probes."""
    return opt.get("public") is True


async def allow(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard for every route. Raises the HTTP errors 401, 403 and 429."""
    if connection.scope.get("method") == "OPTIONS" or is_public(handler.opt):
        return
    principal: Principal | None = connection.scope.get("user")
    needed = handler.opt.get("role")
    if not isinstance(needed, Role):
        raise PermissionDeniedException("this address is for nobody; it declares no role")
    if principal is None:
        raise NotAuthorizedException(
            "who are you? send Authorization: Bearer TOKEN, or log in at /login",
            headers={"WWW-Authenticate": 'Bearer realm="runbook"'},
        )
    if RANK[principal.role] < RANK[needed]:
        raise PermissionDeniedException(
            f"this is for the role {needed}, and {principal.name} is {principal.role}; ask somebody who may"
        )
    if connection.scope.get("method") not in SAFE:
        access: Access = connection.app.state[STATE]
        if wait := access.actions.take(principal.name):
            raise too_many("so many changes in one minute look like a runaway script", wait)


def too_many(what: str, wait_s: float) -> TooManyRequestsException:
    """The error 429, with the time to wait."""
    seconds = int(wait_s) + 1
    return TooManyRequestsException(f"{what}; try again in {seconds} s", headers={"Retry-After": str(seconds)})
