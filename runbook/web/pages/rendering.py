"""Makes the HTML of a page from a template, its frame and one dataclass."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response
from litestar.datastructures import Cookie
from litestar.di import Provide

from runbook.web.console import Console, Principal
from runbook.web.pages import showing
from runbook.web.pages.frame import frame_of
from runbook.web.pages.language import Texts, Words, chosen

_WEB: Final = Path(__file__).parents[1]
_YEAR_S: Final = 365 * 86_400


class PageModel(Protocol):
    """A dataclass: the template variable ``page``."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class Painter:
    """Templates and texts, loaded once for each application. For its event loop."""

    def __init__(self) -> None:
        self.texts = Texts()
        self._templates = Environment(
            loader=FileSystemLoader(_WEB / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters.update(
            number=showing.number,
            percent=showing.percent,
            ms=showing.milliseconds,
            moment=showing.moment,
            written=showing.written,
            day=showing.day,
            span=showing.span,
        )

    def words(self, request: Request[Any, Any, Any]) -> Words:
        """In the language of whoever asks."""
        return self.texts.of(chosen(request.cookies.get("lang"), request.headers.get("accept-language")))

    def __deepcopy__(self, _memo: object) -> Painter:
        """Litestar copies routers for a second application in a process, with what their dependencies keep."""
        return self

    async def page(
        self,
        request: Request[Any, Any, Any],
        console: Console,
        name: str,
        model: PageModel | None = None,
        *,
        status: int = 200,
        template: str = "",
    ) -> Response[str]:
        """The page ``NAME.html`` (or ``template``); ``name`` is also its place in the navigation.

        Template variables: ``t`` (texts), ``frame``, ``page``.
        """
        words = self.words(request)
        frame = await frame_of(request, console, name)
        html = self._templates.get_template(template or f"{name}.html").render(t=words, frame=frame, page=model)
        return Response(
            html,
            media_type=MediaType.HTML,
            status_code=status,
            headers={"Content-Language": words.html, "Vary": "Accept-Language, Cookie"},
        )

    def problem(self, request: Request[Any, Any, Any], problem: object) -> tuple[str, str]:
        """A page without a frame (``status``, ``title``, ``detail``), and its language. At once; asks nobody."""
        words = self.words(request)
        html = self._templates.get_template("problem.html").render(
            t=words,
            problem=problem,
            theme="light" if request.cookies.get("theme") == "light" else "dark",
            root=request.scope.get("root_path", "").rstrip("/"),
        )
        return html, words.html


def painter() -> Painter:
    """Made once, when the first page is asked for: nothing in it changes."""
    return Painter()


PAINTER: Final = {"painter": Provide(painter, use_cache=True, sync_to_thread=False)}
"""The dependency of every page."""


def preference(name: str, value: str, path: str) -> Cookie:
    """Language or theme, kept for a year. Nothing secret: scripts may not read it all the same."""
    return Cookie(key=name, value=value, path=path or "/", max_age=_YEAR_S, httponly=True, samesite="lax")


def signed_in(request: Request[Principal | None, Any, Any]) -> Principal:
    """Who asks. Routes with a role always have somebody."""
    principal = request.user
    if principal is None:
        raise RuntimeError("a route without a role asked who asks")
    return principal
