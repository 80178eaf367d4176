"""The access log: a record for each request. Never its query, its headers or its body, which may hold secrets."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

log = logging.getLogger(__name__)

_OFTEN: Final = ("/static/", "/healthz", "/readyz", "/metrics")
"""Asked for by machines every few seconds: at DEBUG, unless the answer is an error."""
_ERROR: Final = 400
_LONGEST: Final = 200


def visited(scope: Mapping[str, Any], *, status: int, seconds: float, stream: bool) -> None:
    """Log a request that was answered. Who asked is the name of the token or session, ``-`` for nobody known."""
    path = str(scope.get("path", ""))
    level = logging.DEBUG if path.startswith(_OFTEN) and status < _ERROR else logging.INFO
    if not log.isEnabledFor(level):
        return
    client = scope.get("client")
    log.log(
        level,
        "%s %s %d %.0f ms%s from %s by %s",
        str(scope.get("method", "-"))[:_LONGEST],
        path[:_LONGEST],
        status,
        seconds * 1000,
        " (stream)" if stream else "",
        client[0] if client else "-",
        getattr(scope.get("user"), "name", "-"),
    )
