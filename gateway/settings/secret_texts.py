"""Which texts inside settings are secret, for whoever has to keep them out of logs and audit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, SecretStr

from gateway.model import Account


def secrets_of(settings: object) -> frozenset[str]:
    """Every secret text in a settings model (the gateway's too), and what it consists of where that is secret alone.

    Of ``role:name:token`` that is the token, of an address with a login the password. Empty texts are left out, and
    so are references to a secret store (``secret:STORE:PATH#KEY``), which say where a secret is and not what it is.
    """
    written = (secret for secret in _walk(settings) if not secret.startswith(_REFERENCE))
    return frozenset(text for secret in written for text in _parts(secret) if text)


def _walk(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, Account):
        yield from value.secrets.values()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _walk(getattr(value, name))
    elif isinstance(value, Mapping):
        for inside in value.values():
            yield from _walk(inside)
    elif isinstance(value, list | tuple | set | frozenset):
        for inside in value:
            yield from _walk(inside)


def _parts(secret: str) -> Iterator[str]:
    yield secret
    if "://" in secret:
        try:
            parts = urlsplit(secret)
        except ValueError:
            return
        host = parts.netloc.rpartition("@")[2].partition(":")[0]
        pieces = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query))]
        if "." not in host:  # slack://TOKEN/TOKEN has no host at all
            pieces.append(host)
        for text in (parts.password or "", *(piece for piece in pieces if len(piece) > _SHORT)):
            yield from (text, unquote(text))
    elif secret.count(":") > 1:
        yield secret.split(":", 2)[2]


_REFERENCE = "secret:"
_SHORT = 9
"""Shorter parts of an address are words such as ``hook``, not tokens."""
