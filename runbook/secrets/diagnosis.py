"""From what hvac or the network raised to what is wrong and what to do.

An exception of a library is never chained and never quoted whole: it may carry a header, which holds the token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from runbook.secrets.errors import Reason, VaultError

_SHOWN: Final = 160
_SPACES: Final = re.compile(r"\s+")
_DENIED: Final = 403
_NOT_FOUND: Final = 404
_PLAIN_HTTP: Final = "HTTP request to an HTTPS server"
_REDIRECTS: Final = range(300, 400)


@dataclass(frozen=True, slots=True)
class Failure:
    """What is kept of an exception: nothing that a caller sent."""

    sort: str
    """``http``, ``timeout``, ``tls``, ``unreachable`` or ``other``."""
    status: int = 0
    said: str = field(default="", repr=False)
    """Vault's own error texts, or one word of ours. For comparing; shown only masked and cut."""
    deleted: str = ""
    """``deleted`` or ``destroyed`` for a version that is gone."""

    @property
    def denied(self) -> bool:
        return self.status == _DENIED

    @property
    def missing(self) -> bool:
        return self.status == _NOT_FOUND


def failure_of(error: Exception) -> Failure:
    """Sort an exception of hvac, requests or of what they use."""
    from hvac import exceptions as vault  # type: ignore[import-untyped]  # noqa: PLC0415 - hvac has no types; lazy
    from requests import exceptions as http  # noqa: PLC0415 - lazy, as hvac

    match error:
        case vault.VaultError():
            return _answered(error, getattr(error, "errors", None), getattr(error, "json", None))
        case http.Timeout():
            return Failure("timeout")
        case http.SSLError():
            return Failure("tls", said=_tls(str(error)))
        case http.ConnectionError():
            return Failure("unreachable", said=_network(str(error)))
        case _:
            return Failure("other", said=type(error).__name__)


def redirected(status: int) -> Failure | None:
    """Redirects are not followed, because the token would go along."""
    return Failure("http", status=status) if status in _REDIRECTS else None


def _answered(error: Exception, errors: object, json: object) -> Failure:
    from hvac import exceptions as vault  # noqa: PLC0415 - lazy

    statuses: dict[type[Exception], int] = {
        vault.InvalidRequest: 400,
        vault.Unauthorized: 401,
        vault.Forbidden: _DENIED,
        vault.InvalidPath: _NOT_FOUND,
        vault.RateLimitExceeded: 429,
        vault.InternalServerError: 500,
        vault.VaultNotInitialized: 501,
        vault.BadGateway: 502,
        vault.VaultDown: 503,
    }
    said = "; ".join(text for text in errors if isinstance(text, str)) if isinstance(errors, list) else ""
    if _PLAIN_HTTP in str(getattr(error, "text", "")):  # not JSON, so no error texts
        said = _PLAIN_HTTP
    return Failure("http", statuses.get(type(error), -1), _SPACES.sub(" ", said).strip(), _gone(json))


def _gone(json: object) -> str:
    data = json.get("data") if isinstance(json, Mapping) else None
    metadata = data.get("metadata") if isinstance(data, Mapping) else None
    if not isinstance(metadata, Mapping):
        return ""
    if metadata.get("destroyed"):
        return "destroyed"
    return "deleted" if metadata.get("deletion_time") else ""


def _tls(text: str) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in text:
        if "doesn't match" in text or "mismatch" in text or "not valid for" in text:
            return "name"
        return "expired" if "expired" in text else "untrusted"
    return "no_tls" if "WRONG_VERSION_NUMBER" in text or "record layer" in text else "handshake"


def _network(text: str) -> str:
    for mark, said in (
        ("Connection refused", "connection refused"),
        ("Name or service not known", "no such host"),
        ("name resolution", "the name cannot be resolved"),
        ("No route to host", "no route to host"),
        ("unreachable", "network unreachable"),
        ("reset by peer", "connection reset"),
        ("without response", "connection closed without an answer"),
    ):
        if mark in text:
            return said
    return "no connection"


_TLS_WORDS: Final = {
    "untrusted": "its certificate is not signed by a known CA; set VAULT_CACERT to the PEM file of the CA",
    "name": "its certificate is for another host name; write the address with that name",
    "expired": "its certificate has expired; have it renewed, and check the clock of this machine",
    "no_tls": "the server does not speak TLS there; write http:// only for a server on this machine, else correct it",
    "handshake": "the TLS handshake failed; check the port, and VAULT_CACERT",
}


def explain(failure: Failure, *, addr: str, namespace: str, what: str, secrets: tuple[str, ...]) -> VaultError:
    """What holds for every request. Callers have looked at 403 and 404 before.

    ``what`` names the request. ``secrets`` are masked in the server's words, should one of them repeat it.
    """
    reason: Reason
    match failure:
        case Failure(sort="timeout"):
            reason, text = (
                "timeout",
                "did not answer in time; check server and network, or raise RUNBOOK_VAULT__TIMEOUT_S",
            )
        case Failure(sort="tls"):
            reason, text = "tls", _TLS_WORDS[failure.said]
        case Failure(sort="unreachable"):
            reason, text = "unreachable", f"{failure.said}; check VAULT_ADDR, and whether Vault runs"
        case Failure(status=501):
            reason, text = "uninitialised", "is not initialised; run: vault operator init"
        case Failure(status=503) if "seal" in failure.said or not failure.said:
            reason, text = "sealed", "is sealed; have its key holders run: vault operator unseal"
        case Failure(status=status) if status in _REDIRECTS:
            reason, text = (
                "redirect",
                f"answers with a redirect ({status}); set VAULT_ADDR to the address of the active node",
            )
        case Failure(sort="http") if "namespace not found" in failure.said:
            reason, text = "namespace", _namespace(namespace)
        case Failure(sort="http") if _PLAIN_HTTP in failure.said:
            reason, text = "tls", "speaks TLS; write https:// in VAULT_ADDR"
        case Failure(sort="http"):
            code = f" ({failure.status})" if failure.status > 0 else ""
            reason, text = "answer", f"refused {what}{code}: {shown(failure.said, secrets)}; look into Vault's log"
        case _:
            reason = "answer"
            text = (
                f"{what} failed with {failure.said}; check that VAULT_ADDR is a Vault server and the login plain text"
            )
    return VaultError(reason, f"Vault at {addr}: {text}")


def _namespace(namespace: str) -> str:
    if namespace:
        return f"there is no namespace {namespace}; correct VAULT_NAMESPACE, or ask for access"
    return "the namespace was not found; set VAULT_NAMESPACE"


def shown(said: str, secrets: tuple[str, ...]) -> str:
    """The server's words, cut, on one line, without what we know to be secret."""
    for secret in secrets:
        said = said.replace(secret, "***") if secret else said
    return "".join(char if char.isprintable() else " " for char in said)[:_SHOWN] or "no reason given"


def whole(value: Any) -> int:
    """A whole number of an answer, 0 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def table(answer: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A member that is a table; an empty one for anything else."""
    value = answer.get(key)
    return value if isinstance(value, Mapping) else {}
