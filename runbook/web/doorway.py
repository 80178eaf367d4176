"""What holds for every request, whatever it asks for: mount path, host, size, time, headers, counting."""

from __future__ import annotations

import asyncio
import re
from collections.abc import MutableMapping
from typing import Any, Final

import msgspec
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, Receive, Scope, Send

from gateway.clock import Clock
from runbook.web.access.places import host_name
from runbook.web.errors import problem
from runbook.web.meters import Meters
from runbook.web.visits import visited

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_SECURITY: Final = (
    (b"content-security-policy", _POLICY.encode("ascii")),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # not no-referrer: browsers would then send "Origin: null" with our own forms
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_STATIC: Final = "/static/"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NO_ROUTE: Final = "(none)"
_LONGEST_LENGTH: Final = 18
_HEAD_BYTES: Final = 32_768
_BAD_HOST = re.compile(r"[^a-z0-9._:-]")


class Doorway:
    """Around the application. What it refuses never gets to a route."""

    def __init__(
        self, meters: Meters, clock: Clock, *, hosts: frozenset[str] | None, body_limit: int, request_s: float
    ) -> None:
        """``hosts``: names that may be asked for; None: any."""
        self._meters = meters
        self._clock = clock
        self._hosts = hosts
        self._body_limit = body_limit
        self._request_s = request_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send, app: ASGIApp) -> None:
        """One request. ``app`` is called with the path below the mount."""
        scope = _below_mount(scope)
        began = self._clock.monotonic()
        answer = _Answer(send, scope["path"])
        try:
            if refusal := self._refusal(scope):
                status, code, detail = refusal
                self._meters.refused.labels(code).inc()
                await _refuse(answer, status, code, detail)
            else:
                await app(scope, self._timed(receive), answer)
        finally:
            method = str(scope.get("method", ""))
            took = self._clock.monotonic() - began
            visited(scope, status=answer.status or 500, seconds=took, stream=answer.is_stream)
            self._meters.request(
                method=method if method in _METHODS else "other",
                route=_route(scope),
                status=answer.status or 500,
                seconds=took,
                stream=answer.is_stream,
            )

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        if sum(len(name) + len(value) for name, value in scope["headers"]) > _HEAD_BYTES:
            return 431, "head", f"the headers are longer than {_HEAD_BYTES} bytes; send fewer cookies"
        headers = {name.lower(): value for name, value in scope["headers"]}
        host = host_name(headers.get(b"host", b"").decode("latin-1"))
        if self._hosts is not None and host not in self._hosts:
            shown = _BAD_HOST.sub("?", host)[:80] or "(none)"
            fix = f"this console does not go by the name {shown}; use 127.0.0.1, or add the name to runbook.api.hosts"
            return 421, "host", fix
        length = headers.get(b"content-length", b"0").decode("latin-1")
        if len(length) > _LONGEST_LENGTH or (length.isdecimal() and int(length) > self._body_limit):
            return 413, "body", f"the body is longer than {self._body_limit} bytes (runbook.api.body_limit)"
        return None

    def _timed(self, receive: Receive) -> Receive:
        """The body must be there in time, and must not be longer than it may; afterwards there is no hurry."""
        until = self._clock.monotonic() + self._request_s
        whole = False
        got = 0

        async def timed() -> Any:
            nonlocal whole, got
            if whole:
                return await receive()
            try:
                async with asyncio.timeout(max(0.1, until - self._clock.monotonic())):
                    message = await receive()
            except TimeoutError:
                self._meters.refused.labels("slow").inc()
                raise HTTPException(
                    f"the request did not arrive within {self._request_s:g} s", status_code=408
                ) from None
            if message["type"] == "http.request":
                whole = not message.get("more_body", False)
                got += len(message.get("body", b""))
                if got > self._body_limit:
                    self._meters.refused.labels("body").inc()
                    raise HTTPException(
                        f"the body is longer than {self._body_limit} bytes (runbook.api.body_limit)", status_code=413
                    )
            else:
                whole = True
            return message

        return timed


class _Answer:
    """Adds the headers that every answer has, and remembers how it went."""

    def __init__(self, send: Send, path: str) -> None:
        self._send = send
        self._static = path.startswith(_STATIC)
        self.status = 0
        self.is_stream = False

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [(name.lower(), value) for name, value in message.get("headers", ())]
            given = {name for name, _ in headers}
            self.is_stream = (b"content-type", b"text/event-stream") in [
                (name, value.partition(b";")[0]) for name, value in headers
            ]
            if not self._static or self.status >= 400:  # noqa: PLR2004 - an error, which nobody is to keep
                headers = [pair for pair in headers if pair[0] != b"cache-control"]
                headers.append((b"cache-control", b"no-store"))
            headers += [pair for pair in _SECURITY if pair[0] not in given]
            message = {**message, "headers": headers}
        await self._send(message)


def _below_mount(scope: Scope) -> Scope:
    """Servers and outer applications say the whole path; routes here know the part below the mount."""
    root = scope.get("root_path", "").rstrip("/")
    path = scope["path"]
    if not root or not (path == root or path.startswith(f"{root}/")):
        return scope
    copied: MutableMapping[str, Any] = dict(scope)
    copied["path"] = path[len(root) :] or "/"
    copied["root_path"] = root
    return copied  # type: ignore[return-value]  # a scope like the one that came


def _route(scope: Scope) -> str:
    return str(scope.get("path_template") or _NO_ROUTE)


async def _refuse(send: Any, status: int, code: str, detail: str) -> None:
    """Before any route, so without its error pages."""
    body = msgspec.json.encode(problem(status, code, detail))
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
