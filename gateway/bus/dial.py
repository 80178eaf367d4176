"""Where the servers are and how to get in: URLs, credentials, TLS, and errors that say what to do."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import ParseResult, unquote, urlsplit

from nats import errors

from gateway.bus.wire import Wire
from gateway.cancellation import cancellation_heard
from gateway.errors import BusError

_DEFAULT_PORT = 4222
_AUTH = ("authorization violation", "authentication")


@dataclass(frozen=True, kw_only=True)
class NatsOptions:
    """How to reach NATS. Secrets stay out of the repr. Times in seconds.

    ``urls``: ``nats://[user:password@]host[:port]`` or ``tls://…``, tried in this order; servers that a cluster
    announces are tried after them. ``user`` and ``password``, ``token`` and ``creds_file`` hold for URLs without
    credentials of their own. A ``tls_…`` file or a ``tls://`` URL makes TLS a must: the password is not sent
    in clear to a server that offers none.

    A server that answers no PING is given up after ``ping_interval * (max_outstanding_pings + 1)`` seconds.
    """

    urls: tuple[str, ...]
    name: str = "feedgate"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    creds_file: Path | str | None = None
    tls_ca: Path | str | None = None
    tls_cert: Path | str | None = None
    tls_key: Path | str | None = None
    connect_timeout: float = 5.0
    ping_interval: float = 2.0
    max_outstanding_pings: int = 2
    backoff_first: float = 0.1
    backoff_limit: float = 2.0
    close_timeout: float = 2.0
    queue_limit: int = 16_384
    request_limit: int = 64
    max_pending_bytes: int = 64 * 1024 * 1024

    def __repr__(self) -> str:
        return f"NatsOptions(urls=({', '.join(repr(shown(url)) for url in self.urls)}), name={self.name!r})"


@dataclass(frozen=True)
class Server:
    """One place to try. ``url`` holds no credentials and may be shown."""

    url: str
    host: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    tls: bool = False
    tls_hostname: str | None = None


def shown(url: str) -> str:
    """The URL as it may appear in logs and errors: without user and password."""
    scheme, mark, rest = url.rpartition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def server_of(url: str, options: NatsOptions) -> Server:
    """Read one URL. Raises BusError that names it."""
    text = url if "://" in url else f"nats://{url}"
    try:
        parts = urlsplit(text)
        port = parts.port or _DEFAULT_PORT
    except ValueError as error:
        raise BusError(f"NATS URL {shown(url)!r} is not usable ({error}); write nats://host:port") from None
    if parts.scheme not in ("nats", "tls") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise BusError(f"NATS URL {shown(url)!r} is not usable; write nats://host:port or tls://host:port")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    user, password, token = options.user, options.password, options.token
    if parts.username is not None:
        user, password, token = unquote(parts.username), unquote(parts.password or ""), None
        if parts.password is None:
            user, password, token = None, None, user
    tls = parts.scheme == "tls" or any((options.tls_ca, options.tls_cert, options.tls_key))
    return Server(f"{parts.scheme}://{host}:{port}", parts.hostname, user, password, token, tls)


class Dialler:
    """Makes connections; remembers what the cluster announced."""

    def __init__(self, options: NatsOptions) -> None:
        if not options.urls:
            raise BusError("no NATS URL given; set NATS_URL, or leave it unset for the bundled server")
        if (options.user is None) != (options.password is None):
            raise BusError("NATS_USER and NATS_PASSWORD belong together; set both or neither")
        self.options = options
        self.servers = [server_of(url, options) for url in options.urls]
        self._tls = _tls_context(options)
        if options.creds_file is not None and not Path(options.creds_file).is_file():
            raise BusError(f"the NATS credentials file {options.creds_file} does not exist; correct its path")

    async def dial(self, role: str, on_lost: Callable[[Wire, Exception], None], on_told: Callable[[str], None]) -> Wire:
        """Connect to the first server that takes us, within ``connect_timeout`` seconds for all of them.

        Raises BusError that names each server and why it is not the one.
        """
        limit = self.options.connect_timeout / len(self.servers)
        reasons: list[str] = []
        for server in list(self.servers):
            wire: Wire

            def lost(error: Exception) -> None:
                on_lost(wire, error)  # noqa: B023 - called only for the wire that this turn returns

            wire = Wire(role, lost, on_told)
            try:
                with cancellation_heard():
                    async with asyncio.timeout(limit):
                        await wire.open(**self._options(server, role))
            except BaseException as error:
                await wire.finish(0.1)
                if not isinstance(error, Exception) or isinstance(error, BusError):
                    raise
                reasons.append(_explained(server, error, limit))
                continue
            self._remember(wire.discovered_servers, server)
            return wire
        raise BusError("; ".join(reasons), urls=[server.url for server in self.servers])

    def _options(self, server: Server, role: str) -> dict[str, Any]:
        options: dict[str, Any] = {
            "servers": [server.url],
            "require_tls": server.tls,
            "name": f"{self.options.name} {role}",
            "connect_timeout": self.options.connect_timeout,
            "ping_interval": self.options.ping_interval,
            "max_outstanding_pings": self.options.max_outstanding_pings,
            "user": server.user,
            "password": server.password,
            "token": server.token,
            "tls": self._tls,
        }
        if self.options.creds_file is not None and server.user is None and server.token is None:
            options["user_credentials"] = str(self.options.creds_file)
        if server.tls_hostname is not None:
            options["tls_hostname"] = server.tls_hostname
        return options

    def _remember(self, discovered: list[ParseResult], teller: Server) -> None:
        known = {urlsplit(server.url).netloc for server in self.servers}
        for found in discovered:
            if found.netloc in known or found.hostname is None:
                continue
            # A cluster announces addresses, a certificate holds names: check the name that we were given.
            name = (teller.tls_hostname or teller.host) if _is_address(found.hostname) else None
            scheme = "tls" if teller.tls else "nats"
            self.servers.append(
                Server(
                    f"{scheme}://{found.netloc}",
                    found.hostname,
                    teller.user,
                    teller.password,
                    teller.token,
                    teller.tls,
                    name,
                )
            )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _tls_context(options: NatsOptions) -> ssl.SSLContext | None:
    given = {"tls_ca": options.tls_ca, "tls_cert": options.tls_cert, "tls_key": options.tls_key}
    for name, path in given.items():
        if path is not None and not Path(path).is_file():
            raise BusError(f"{name}: {path} does not exist; correct its path")
    if (options.tls_cert is None) != (options.tls_key is None):
        raise BusError("tls_cert and tls_key belong together; give both or neither")
    try:
        context = ssl.create_default_context(cafile=options.tls_ca)
        if options.tls_cert is not None and options.tls_key is not None:
            context.load_cert_chain(options.tls_cert, options.tls_key)
    except (ssl.SSLError, OSError) as error:
        files = ", ".join(f"{name} {path}" for name, path in given.items() if path is not None)
        raise BusError(f"the NATS TLS files cannot be used ({files}): {error}; give PEM files") from error
    return context


def _explained(server: Server, error: Exception, limit: float) -> str:
    text = str(error).removeprefix("nats: ").strip("'\" ") or type(error).__name__
    if any(word in text.lower() for word in _AUTH):
        return (
            f"NATS at {server.url} refused the credentials ({text});"
            " check NATS_USER and NATS_PASSWORD, the token or the creds file"
        )
    if isinstance(error, errors.SecureConnWantedError):
        return f"NATS at {server.url} offers no TLS, which was asked for; use nats:// or turn TLS on there"
    if isinstance(error, ssl.SSLError):
        return f"TLS with NATS at {server.url} failed ({text}); check tls_ca, and the host name in the certificate"
    if isinstance(error, TimeoutError):
        return f"NATS at {server.url} did not answer within {limit:g} s; check that it runs, and the address"
    return f"NATS at {server.url} cannot be reached ({text}); start it, or correct the address (NATS_URL, --url)"
