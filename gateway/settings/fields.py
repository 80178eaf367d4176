"""The types of single settings: what each accepts, and what it says when it refuses.

A refusal never repeats the value, because a value in the wrong place may be somebody's password.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from gateway.subjects import subscription_subject

FRONT_SCHEME = "tcp"
NATS_SCHEMES = ("nats", "tls", "ws", "wss")
SECRET_WORDS = frozenset({"password", "passwd", "secret", "token", "auth_code", "authcode"})
"""Option names that would put a secret where every repr shows it."""

_WORD = re.compile(r"[a-z][a-z0-9-]*(_[a-z0-9-]+)*")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HOST = re.compile(r"[A-Za-z0-9_.:-]{1,253}")
_PLACEHOLDER = re.compile(
    r"<.*>|change[-_ ]?(me|it)|replace[-_ ]?(me|it)|your[-_ ].*|fill[-_ ]?me([-_ ]in)?|todo|x{3,}|\*{3,}|\.{3,}",
    re.IGNORECASE,
)


def _plain_number(value: object) -> object:
    """Pydantic would read ``true`` as 1, and call NaN too small."""
    if isinstance(value, bool):
        raise ValueError("is true or false; write a number")  # noqa: TRY004 - pydantic collects ValueErrors
    try:
        finite = not isinstance(value, str | float) or math.isfinite(float(value))
    except ValueError:
        return value
    if not finite:
        raise ValueError("is not a finite number; write one")
    return value


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise ValueError(
            "is not a plain name; write lower-case letters, digits, - or single _, beginning with a letter"
        )
    return text


def _token(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise ValueError("is not a plain name; write 1 to 64 letters, digits, - or _")
    return text


def _host(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError("is not a host; write a name or an address, for example 127.0.0.1")
    return text


def _filled(text: str) -> str:
    if _PLACEHOLDER.fullmatch(text.strip()):
        raise ValueError("still holds a placeholder; put the real value in, or leave it empty")
    if text and not text.isprintable():
        raise ValueError("contains a control character or line end; write it on one line")
    return text


def _filled_secret(secret: SecretStr) -> SecretStr:
    _filled(secret.get_secret_value())
    return secret


def _split(url: str, refusal: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # a bad port or a bad IPv6 address; the library's text would repeat the value
        raise ValueError(refusal) from None
    if not parts.hostname or not _HOST.fullmatch(parts.hostname) or port == 0:
        raise ValueError(refusal)
    return parts, port


def _front(url: str) -> str:
    """The native CTP library dies on anything but ``tcp://host:port``, so nothing else gets near it."""
    if not url:
        return url
    refusal = "is not a front address; write tcp://HOST:PORT, for example tcp://180.168.146.187:10211"
    parts, port = _split(_filled(url), refusal)
    rest = parts.path or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme != FRONT_SCHEME or port is None or rest:
        raise ValueError(refusal)
    return url


def _nats_url(url: str) -> str:
    refusal = "is not a NATS address; write nats://HOST:4222 (or tls://, ws://, wss://)"
    if any(mark in url for mark in ",; "):
        raise ValueError(refusal)
    parts, _port = _split(_filled(url), refusal)
    if "@" in parts.netloc:
        raise ValueError(
            "carries a user or password, which every log would show; put them into NATS_USER and NATS_PASSWORD"
        )
    if parts.scheme not in NATS_SCHEMES or parts.query or parts.fragment or parts.path not in ("", "/"):
        raise ValueError(refusal)
    return url


def _pattern(text: str) -> str:
    try:
        subscription_subject(text)
    except ValueError:
        raise ValueError("is not an instrument pattern; write EXCHANGE.CODE, for example SHFE.rb*") from None
    return text


def _options(options: dict[str, Any]) -> dict[str, Any]:
    if hidden := sorted(SECRET_WORDS.intersection(options)):
        raise ValueError(
            f"has {', '.join(hidden)}, and options are shown in the clear; "
            "put secrets into password or auth_code of the account"
        )
    return options


def _path(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("is not a path: it contains a NUL character; write a plain path")
    return path


_number = BeforeValidator(_plain_number)
_DAY_S = 86_400

Seconds = Annotated[float, _number, Field(gt=0, le=_DAY_S)]
Milliseconds = Annotated[float, _number, Field(ge=0, le=1000)]
Rate = Annotated[float, _number, Field(gt=0, le=1_000_000)]
Count = Annotated[int, _number, Field(ge=1, le=100_000_000)]
Retries = Annotated[int, _number, Field(ge=0, le=1000)]
Port = Annotated[int, _number, Field(ge=0, le=65535)]
Word = Annotated[str, AfterValidator(_word)]
Token = Annotated[str, AfterValidator(_token)]
Host = Annotated[str, AfterValidator(_host)]
Filled = Annotated[str, AfterValidator(_filled)]
FilledSecret = Annotated[SecretStr, AfterValidator(_filled_secret)]
Front = Annotated[str, AfterValidator(_front)]
NatsUrl = Annotated[str, AfterValidator(_nats_url)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Options = Annotated[dict[str, Any], AfterValidator(_options)]
FilePath = Annotated[Path, AfterValidator(_path)]
