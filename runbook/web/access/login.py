"""In and out: a token for a cookie, and back."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import quote

from litestar import Request, Response, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.exceptions import NotAuthorizedException
from litestar.params import Body
from litestar.response import Redirect

from runbook.web.access.guard import too_many
from runbook.web.access.identify import root_of
from runbook.web.access.places import local_path
from runbook.web.access.policy import Access
from runbook.web.access.sessions import Session

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoginForm:
    """What the login page sends."""

    token: str
    back: str = "/"

    def __repr__(self) -> str:
        return "LoginForm(…)"  # errors and logs must not show the token


@post("/login", opt={"public": True}, include_in_schema=False, status_code=303)
async def login(
    request: Request[Any, Any, Any],
    access: NamedDependency[Access],
    data: Annotated[LoginForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Response[Any]:
    """A cookie for a token, then back to where somebody wanted to go."""
    address = request.client.host if request.client else ""
    back = local_path(data.back)
    holder, wait = access.holder(data.token.strip(), address)
    if holder is None:
        problem = "slow_down" if wait else "refused"
        log.warning("login from %s: %s", address, "too many wrong tokens" if wait else "a token that is not known")
        return _refused(request, problem, back, wait)
    log.info("login of %s (%s) from %s", holder.name, holder.role, address)
    cookie = _cookie(request, access, access.sessions.begin(holder), int(access.session_s))
    return Redirect(root_of(request.scope) + back, status_code=303, cookies=[cookie])


@post("/logout", opt={"public": True}, include_in_schema=False, status_code=303)
async def logout(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> Response[Any]:
    """The cookie is worth nothing from now on. Who is not logged in is sent to the login all the same."""
    session = request.scope.get("auth")
    if isinstance(session, Session):
        access.sessions.end(session)
        log.info("logout of %s", session.holder.name)
    cookie = _cookie(request, access, "", 0)
    return Redirect(f"{root_of(request.scope)}/login", status_code=303, cookies=[cookie])


def _refused(request: Request[Any, Any, Any], problem: str, back: str, wait: float) -> Response[Any]:
    if "text/html" in request.headers.get("accept", ""):
        target = f"{root_of(request.scope)}/login?problem={problem}&back={quote(back, safe='')}"
        return Redirect(target, status_code=303)
    if wait:
        raise too_many("too many wrong tokens", wait)
    raise NotAuthorizedException("this token is not known here; OPS_API_TOKENS says which are")


def _cookie(request: Request[Any, Any, Any], access: Access, value: str, max_age: int) -> Cookie:
    """Lax, not strict: a link to the console in a message or an alert must find somebody who is logged in.

    Nothing is changed by GET, and a POST that another site sends is refused for its origin.
    """
    return Cookie(
        key=access.sessions.cookie,
        value=value,
        path=root_of(request.scope) or "/",
        max_age=max_age,
        httponly=True,
        samesite="lax",
        secure=access.secure_cookies or request.scope["scheme"] == "https",
    )


ACCESS: Final = (login, logout)
