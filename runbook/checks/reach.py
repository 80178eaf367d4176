"""Connections that checks make: TCP and HTTP, short, without proxies and redirects, never with a secret."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

_HTTPS_PORT: Final = 443
_HTTP_PORT: Final = 80
_MOST_BYTES: Final = 65_536
_GOOD: Final = range(200, 300)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an HTTP server said, or why it said nothing."""

    error: str = ""
    status: int = 0
    date: datetime | None = None
    """Of its ``Date`` header; whole seconds."""
    body: bytes = b""
    """The first 64 KiB."""

    @property
    def ok(self) -> bool:
        """Whether it answered with 2xx."""
        return not self.error and self.status in _GOOD

    @property
    def said(self) -> str:
        """What to show of a bad answer."""
        return self.error or f"it answers {self.status}"


def connect_error(host: str, port: int, timeout_s: float) -> str:
    """Why a TCP connection cannot be made; empty when it can. Blocks at most ``timeout_s``, beside the name service."""
    try:
        socket.create_connection((host, port), timeout=timeout_s).close()
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def get(url: str, path: str, timeout_s: float) -> Answer:
    """GET below a base address. Blocks at most some ``timeout_s``; never raises for what a server does."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection = (
        http.client.HTTPSConnection(host, parts.port or _HTTPS_PORT, timeout=timeout_s)
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port or _HTTP_PORT, timeout=timeout_s)
    )
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}{path}")
        response = connection.getresponse()
        body = response.read(_MOST_BYTES)
        return Answer(status=response.status, date=_date(response.getheader("Date")), body=body)
    except TimeoutError:
        return Answer(error=f"no answer within {timeout_s:g} s")
    except ssl.SSLCertVerificationError as error:
        return Answer(error=f"its certificate is not accepted ({error.verify_message})")
    except http.client.HTTPException:
        return Answer(error="it does not speak HTTP")
    except OSError as error:
        return Answer(error=error.strerror or type(error).__name__)
    finally:
        connection.close()


def _date(text: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(text) if text else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None
