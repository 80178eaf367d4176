"""Bearer tokens of the HTTP API, as ``OPS_API_TOKENS`` writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator, SecretStr

from gateway.settings.fields import FilledSecret
from runbook.model import Role

_PARTS: Final = 3
_NAME: Final = re.compile(r"[A-Za-z0-9_.@-]{1,64}")


@dataclass(frozen=True, slots=True)
class ApiToken:
    """Somebody who may use the API. The repr does not show the token."""

    role: Role
    name: str
    """What the audit calls this operator."""
    token: SecretStr


def api_token(written: SecretStr, number: int = 1) -> ApiToken:
    """``role:name:token``, or a bare token, which is an operator named ``operator-NUMBER``.

    Raises ValueError, without the token. Source: the operators' contract, §3.
    """
    text = written.get_secret_value().strip()
    if ":" not in text:
        if not text:
            raise ValueError("is empty; write role:name:token, or leave it out")
        return ApiToken(Role.OPERATOR, f"operator-{number}", SecretStr(text))
    parts = text.split(":", _PARTS - 1)
    roles = ", ".join(Role)
    if len(parts) != _PARTS or parts[0] not in list(Role):
        raise ValueError(f"is not role:name:token; write it with a role out of {roles}, or a bare token without ':'")
    role, name, token = parts
    if not _NAME.fullmatch(name):
        raise ValueError("has no plain name between the colons; write 1 to 64 letters, digits, or one of _ . @ -")
    if not token:
        raise ValueError("has no token after the second colon; write role:name:token")
    return ApiToken(Role(role), name, SecretStr(token))


def _readable(written: SecretStr) -> SecretStr:
    api_token(written)
    return written


WrittenToken = Annotated[FilledSecret, AfterValidator(_readable)]
"""A setting that :func:`api_token` reads."""
