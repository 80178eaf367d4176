"""The application: routes of API, pages, access and live events, behind one doorway and one guard."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

import gateway
from runbook.model import Role
from runbook.web.access import ACCESS, STATE, Access, Identify, allow
from runbook.web.api import API
from runbook.web.console import Console
from runbook.web.doorway import Doorway
from runbook.web.errors import HANDLERS
from runbook.web.live import LIVE, Live
from runbook.web.meters import Meters
from runbook.web.pages import PAGES
from runbook.web.probes import PROBES
from runbook.web.runtime import Runtime
from runbook.web.streams import Streams

log = logging.getLogger(__name__)

_HEADERS: Final = ("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID")


class Application(Litestar):
    """Litestar behind the doorway. ``runtime`` is what runs behind it."""

    runtime: Runtime
    access: Access
    doorway: Doorway

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI. WebSockets are turned away; without a lifespan the first request starts the runtime."""
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
        elif scope["type"] == "http":
            self.runtime.start()
            await self.doorway(scope, receive, send, super().__call__)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": "no WebSockets here"})

    async def aclose(self) -> None:
        """End what runs behind it; where there is no lifespan somebody has to call this. Idempotent."""
        await self.runtime.aclose()


def build(console: Console, *, access: Access | None = None) -> Application:
    """The application of a console. It runs until its lifespan ends, or :meth:`Application.aclose`.

    Without ``access`` it is what the runbook's settings say, behind somebody else's server. Raises SettingsError.
    """
    runbook = console.runbook
    api = runbook.runbook.api
    access = access or Access(api, runbook.runbook.state_dir / "console", runbook.clock)
    meters = Meters()
    runtime = Runtime(console, meters)
    app = Application(
        route_handlers=[*PROBES, *ACCESS, *LIVE, *API, *PAGES],
        dependencies={
            "console": _same(console),
            "access": _same(access),
            "live": _same(runtime.live),
            "streams": _same(runtime.streams),
            "meters": _same(meters),
        },
        signature_types=[Console, Access, Live, Streams, Meters],
        middleware=[Identify(access)],
        guards=[allow],
        exception_handlers=dict(HANDLERS),
        cors_config=_cors(access, api.cors_methods),
        lifespan=[_running(runtime)],
        openapi_config=_described(),
        request_max_body_size=api.body_limit,
        logging_config=None,
        debug=False,
        state=State({STATE: access}),
    )
    app.runtime, app.access = runtime, access
    app.doorway = Doorway(meters, runbook.clock, hosts=access.hosts, body_limit=api.body_limit, request_s=api.request_s)
    return app


def _same(value: object) -> Provide:
    return Provide(lambda: value, use_cache=True, sync_to_thread=False)


def _running(runtime: Runtime) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def running(_app: Litestar) -> Any:
        async with runtime:
            yield

    return running


def _cors(access: Access, methods: list[str]) -> CORSConfig | None:
    """Never with cookies: another page has to show a token of its own."""
    if not access.origins:
        return None
    return CORSConfig(
        allow_origins=sorted(access.origins),
        allow_methods=methods,  # type: ignore[arg-type]  # the settings' words are HTTP methods
        allow_headers=list(_HEADERS),
        allow_credentials=False,
        expose_headers=["Location", "Retry-After"],
        max_age=600,
    )


def _described() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Feedgate runbook",
        version=gateway.__version__,
        description="Operates the gateway: status, actions, audit, jobs. Every request but the probes needs a token.",
        use_handler_docstrings=True,
        render_plugins=[JsonRenderPlugin(path="/openapi.json"), YamlRenderPlugin(path="/openapi.yaml")],
        openapi_router=Router("/schema", route_handlers=[], opt={"role": Role.VIEWER}),
        components=Components(
            security_schemes={"token": SecurityScheme(type="http", scheme="bearer", description="OPS_API_TOKENS")}
        ),
        security=[{"token": []}],
    )
