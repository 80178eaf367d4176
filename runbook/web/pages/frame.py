"""What every page has around it: navigation, session, active line, how things are in one line, language, theme, who."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote

from litestar import Request

from runbook.model import Role
from runbook.runner import RunState
from runbook.web.console import Console, Principal
from runbook.web.observed import Market, Observed
from runbook.web.pages.sentence import Sentence, sentence

Theme = Literal["dark", "light"]

NAVIGATION: Final = (
    ("overview", "/"),
    ("drill", "/drill"),
    ("subscriptions", "/subscriptions"),
    ("gaps", "/gaps"),
    ("lines", "/lines"),
    ("audit", "/audit"),
    ("jobs", "/jobs"),
    ("plugins", "/plugins"),
    ("ticks", "/ticks"),
)
"""Pages in the order of the left rail; the names are keys of ``nav.toml``."""

_RECENT: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ribbon:
    """A drill that goes on."""

    run: str
    mode: str
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The template variable ``frame``."""

    page: str
    """Name in NAVIGATION, or empty."""
    path: str
    """Of this page with its query, without the root path; where a switch of language comes back to."""
    root: str
    """Root path of a mounted application, without a slash at the end."""
    theme: Theme
    principal: Principal | None
    now_ns: int
    market: Market
    session: str
    """The calendar's, or ``always`` while a feed trades outside it."""
    active: tuple[str, ...]
    """The active line of each feed."""
    sentence: Sentence
    ribbon: Ribbon | None
    can_act: bool
    """Whether this person may change anything."""

    @property
    def navigation(self) -> tuple[tuple[str, str], ...]:
        return NAVIGATION

    def link(self, path: str) -> str:
        """A path of this console, wherever it is mounted."""
        return self.root + path

    @property
    def back(self) -> str:
        """``path`` for a query string."""
        return quote(self.path, safe="")


async def frame_of(request: Request[Principal | None, Any, Any], console: Console, page: str) -> Frame:
    """The frame of a page as of now. ``request.user`` may be None (login, errors)."""
    seen: Observed = console.observatory.latest
    principal = request.scope.get("user")
    root = request.scope.get("root_path", "").rstrip("/")
    query = request.scope.get("query_string", b"").decode("ascii", "replace")
    path = request.scope["path"].removeprefix(root) or "/"
    return Frame(
        page=page,
        path=path + (f"?{query}" if query else ""),
        root=root,
        theme="light" if request.cookies.get("theme") == "light" else "dark",
        principal=principal,
        now_ns=console.runbook.clock.wall_ns(),
        market=seen.market,
        session="always" if seen.status and seen.trading and seen.market.session == "closed" else seen.market.session,
        active=tuple(feed.active for feed in seen.status.feeds if feed.active) if seen.status else (),
        sentence=sentence(seen),
        ribbon=await _ribbon(console),
        can_act=principal is not None and principal.role is not Role.VIEWER,
    )


async def _ribbon(console: Console) -> Ribbon | None:
    """Of a drill in this or another process."""
    for run in await console.runbook.runner.runs(limit=_RECENT):
        if run.request.action == "drill" and run.state is RunState.RUNNING:
            found = await console.runbook.runner.get(run.id) or run
            stage = found.stages[-1].stage if found.stages else ""
            return Ribbon(run=run.id, mode=run.request.mode, stage=stage)
    return None
