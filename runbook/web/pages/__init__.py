"""The pages: HTML from templates, forms for what is done (POST → 303 → GET), complete without JavaScript."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from litestar import Router
from litestar.datastructures import CacheControlHeader
from litestar.static_files import create_static_files_router

from runbook.web.pages.actions import act, actions, confirm
from runbook.web.pages.audit import audit, verified
from runbook.web.pages.drill import drill
from runbook.web.pages.entry import login_page, preferences
from runbook.web.pages.gaps import gaps
from runbook.web.pages.jobs import jobs
from runbook.web.pages.lines import lines
from runbook.web.pages.overview import overview
from runbook.web.pages.plugins import plugins
from runbook.web.pages.rendering import PAINTER
from runbook.web.pages.runs import cancel_run, run_page
from runbook.web.pages.subscriptions import subscriptions
from runbook.web.pages.ticks import ticks

_STATIC: Final = Path(__file__).parents[1] / "static"

PAGES: Final = (
    login_page,  # beside POST /login, which is no page's
    Router(
        path="/",
        route_handlers=[
            *(overview, preferences, drill, subscriptions, gaps, lines, audit, verified, jobs, plugins, ticks),
            *(actions, confirm, act, run_page, cancel_run),
        ],
        dependencies=PAINTER,
    ),
    create_static_files_router(
        "/static",
        [_STATIC],
        name="static",
        opt={"public": True},
        cache_control=CacheControlHeader(max_age=3600, public=True),
    ),
)
"""Everything below ``/`` that is no API."""
