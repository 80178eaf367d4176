"""A problem as a page, for somebody with a browser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from litestar import Request, Response
from litestar.response.base import ASGIResponse

from runbook.web.console import Console
from runbook.web.pages.rendering import PAINTER, Painter

if TYPE_CHECKING:
    from litestar.types import Receive, Scope, Send

    from runbook.web.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPage:
    """What ``error.html`` shows."""

    status: int
    code: str
    title: str
    detail: str
    fix: str


def error_page(request: Request[Any, Any, Any], found: Problem, headers: Mapping[str, str]) -> Response[Any]:
    """The page ``error.html`` with the status of the problem."""
    return _PageProblem(request, found, headers)


class _PageProblem(Response[None]):
    """Handlers of errors cannot wait, and a page has to: it is painted while it is sent."""

    def __init__(self, request: Request[Any, Any, Any], found: Problem, headers: Mapping[str, str]) -> None:
        super().__init__(None, status_code=found.status, headers=dict(headers))
        self._request = request
        self._found = found

    def to_asgi_response(self, *_args: Any, **_options: Any) -> ASGIResponse:
        """What the framework asks for."""
        return _Painted(self._request, self._found, {key: str(value) for key, value in self.headers.items()})


class _Painted(ASGIResponse):
    __slots__ = ("_found", "_given", "_request")

    def __init__(self, request: Request[Any, Any, Any], found: Problem, headers: Mapping[str, str]) -> None:
        super().__init__(status_code=found.status)
        self._request = request
        self._found = found
        self._given = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._found
        painter = cast("Painter", await PAINTER["painter"]())
        console = cast("Console", await self._request.app.dependencies["console"]())
        model = ErrorPage(
            status=found.status, code=found.code, title=found.title, detail=found.detail or found.fix, fix=found.fix
        )
        page = await painter.page(self._request, console, "", model, status=found.status, template="error.html")
        page.headers.update(self._given)
        await page.to_asgi_response(app=None, request=self._request)(scope, receive, send)
