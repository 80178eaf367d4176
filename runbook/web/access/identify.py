"""The middleware that says who asks, and turns away what other people's pages send."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from runbook.web.access.guard import is_public, too_many
from runbook.web.access.origin import SAFE, Whence, whence
from runbook.web.access.policy import Access
from runbook.web.console import Principal

_BEARER: Final = "bearer "


class Identify(ASGIMiddleware):
    """Sets ``scope["user"]`` to a Principal or None. The guard decides what that is good for.

    An ``Authorization`` header counts alone, a wrong one is refused even where nobody has to log in, so that nobody
    takes a mistyped token for a right one.
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Of each request to a route. Raises the HTTP errors 401, 403 and 429."""
        connection: ASGIConnection[Any, Any, Any, Any] = ASGIConnection(scope)
        method = str(scope.get("method", ""))
        scope["auth"] = scope["user"] = None
        if method != "OPTIONS":  # of CORS, never with a token
            self._check_origin(connection, method, self._whence(connection))
            user = self._who(connection)
            scope["user"] = user
            if user is None and self._wants_login(connection, method):
                await self._to_login(connection, send)
                return
        await next_app(scope, receive, send)

    # -- who -----------------------------------------------------------------------------------------------------

    def _who(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Principal | None:
        address = connection.client.host if connection.client else ""
        shown = connection.headers.get("authorization")
        if shown is not None:
            return self._by_token(shown, address)
        cookie = connection.cookies.get(self._access.sessions.cookie)
        if cookie and (session := self._access.sessions.read(cookie)) is not None:
            connection.scope["auth"] = session
            return self._access.of_session(session)
        return self._access.unasked(address)

    def _by_token(self, shown: str, address: str) -> Principal:
        token = shown[len(_BEARER) :].strip() if shown.lower().startswith(_BEARER) else ""
        principal, wait = self._access.by_token(token, address) if token else (None, 0.0)
        if wait:
            raise too_many("too many wrong tokens", wait)
        if principal is None:
            raise NotAuthorizedException(
                "this token is not known here; OPS_API_TOKENS says which are" if token else "send Bearer TOKEN",
                headers={"WWW-Authenticate": 'Bearer realm="runbook", error="invalid_token"'},
            )
        return principal

    # -- from where ----------------------------------------------------------------------------------------------

    def _whence(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Whence:
        headers = connection.headers
        origins = self._access.origins
        origin = headers.get("origin")
        return whence(
            scheme=connection.scope["scheme"],
            host=headers.get("host", ""),
            origin=origin,
            fetch_site=headers.get("sec-fetch-site"),
            allowed={origin} if "*" in origins and origin is not None else origins,
        )

    @staticmethod
    def _check_origin(connection: ASGIConnection[Any, Any, Any, Any], method: str, came: Whence) -> None:
        if method in SAFE or came in ("own", "none"):
            return
        # another page that is allowed shows a token: a browser adds cookies, and being on this machine, by itself
        if came == "allowed" and "authorization" in connection.headers:
            return
        raise PermissionDeniedException(
            "another site's page sent this; use the console's own pages, or send a token "
            "(pages of other origins: name them in OPS_API_CORS_ORIGINS)"
        )

    # -- to the login --------------------------------------------------------------------------------------------

    @staticmethod
    def _wants_login(connection: ASGIConnection[Any, Any, Any, Any], method: str) -> bool:
        if method not in ("GET", "HEAD") or is_public(connection.route_handler.opt):
            return False
        accepts = connection.headers.get("accept", "")
        return "text/html" in accepts and not connection.scope["path"].startswith("/api/")

    @staticmethod
    async def _to_login(connection: ASGIConnection[Any, Any, Any, Any], send: Send) -> None:
        scope = connection.scope
        query = scope["query_string"].decode("ascii", "replace")
        back = quote(scope["path"] + (f"?{query}" if query else ""), safe="")
        target = f"{root_of(scope)}/login?back={back}"
        headers = [(b"location", target.encode("ascii")), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def root_of(scope: Any) -> str:
    """Path that the console is mounted at, percent-encoded, without a slash at the end."""
    return quote(str(scope.get("root_path", "")).rstrip("/"), safe="/-._~!$&'()*+,;=:@")
