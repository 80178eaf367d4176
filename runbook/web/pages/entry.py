"""Ways in: the login form, and the choice of language and theme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import Redirect

from runbook.web.access.places import local_path
from runbook.web.console import Console
from runbook.web.pages.rendering import PAINTER, Painter, preference


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginPage:
    """The form. A token is never shown again, and never in an address."""

    back: str
    """Path to go to after the login."""
    problem: str = ""
    """Key of ``login.toml``: why the last try did not work."""


_PROBLEMS = frozenset({"refused", "slow_down", "ended"})


@get("/login", opt={"public": True}, include_in_schema=False, dependencies=PAINTER)
async def login_page(
    request: Request[Any, Any, Any],
    console: NamedDependency[Console],
    painter: NamedDependency[Painter],
    back: Annotated[str, QueryParameter(name="back")] = "/",
    problem: Annotated[str, QueryParameter(name="problem")] = "",
) -> Response[str]:
    """Asks for a token; POST ``/login`` takes it."""
    model = LoginPage(back=local_path(back), problem=problem if problem in _PROBLEMS else "")
    return await painter.page(request, console, "login", model)


@get("/preferences", opt={"public": True}, include_in_schema=False)
async def preferences(
    request: Request[Any, Any, Any],
    lang: Annotated[str, QueryParameter(name="lang")] = "",
    theme: Annotated[str, QueryParameter(name="theme")] = "",
    back: Annotated[str, QueryParameter(name="back")] = "/",
) -> Redirect:
    """Remember a choice and go back. Changes nothing but a cookie, so a link may do it."""
    root = request.scope.get("root_path", "").rstrip("/")
    cookies = []
    if lang in ("zh", "en"):
        cookies.append(preference("lang", lang, root))
    if theme in ("dark", "light"):
        cookies.append(preference("theme", theme, root))
    return Redirect(root + local_path(back), status_code=303, cookies=cookies)
