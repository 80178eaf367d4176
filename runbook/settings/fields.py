"""Types of single settings that only the runbook has. A refusal never repeats the value."""

from __future__ import annotations

import re
import shlex
import string
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from gateway.settings.fields import Count, FilePath, Filled, FilledSecret, Rate

_HOST_PORT: Final = re.compile(r"[A-Za-z0-9_.-]+:\d{1,5}")
_METHOD: Final = re.compile(r"[A-Z]{3,16}")
_TIME: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_HTTP: Final = ("http", "https")
_SHORTEST_KEY: Final = 16
_BLANKS: Final = frozenset({"marker", "exit_code"})


def _http_url(text: str) -> str:
    """With a scheme; ``HOST:PORT`` alone means http, as the Pushgateway's own tools take it."""
    refusal = "is not an HTTP address; write http://HOST:PORT (or https://)"
    url = f"http://{text}" if _HOST_PORT.fullmatch(text) else text
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # a bad port or a bad IPv6 address; the library's text would repeat the value
        raise ValueError(refusal) from None
    if "@" in parts.netloc:
        raise ValueError("carries a user or password, which every log would show; leave it out of the address")
    if parts.scheme not in _HTTP or not parts.hostname or port == 0 or any(mark in url for mark in " ,;"):
        raise ValueError(refusal)
    if parts.query or parts.fragment:
        raise ValueError("carries a query, which every log would show; write the address alone")
    return url.rstrip("/")


def _origin(text: str) -> str:
    if text == "*":
        return text
    url = _http_url(text)
    if urlsplit(url).path:
        raise ValueError("is not an origin; write scheme://host or scheme://host:port without a path, or *")
    return url


def _method(text: str) -> str:
    method = text.upper()
    if not _METHOD.fullmatch(method):
        raise ValueError("is not an HTTP method; write for example GET,POST,OPTIONS")
    return method


def _command(text: str) -> str:
    """Split by shell rules, run without a shell."""
    try:
        words = shlex.split(text)
    except ValueError:
        raise ValueError("has a quote that does not end; close it") from None
    if text and not words:
        raise ValueError("is not a command; write a program and its arguments")
    return text


def _escalation(text: str) -> str:
    try:
        blanks = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
    except ValueError:
        raise ValueError("has a brace that does not fit; write {marker} and {exit_code}, and {{ for a brace") from None
    if blanks - _BLANKS:
        raise ValueError("has a blank that nobody fills; only {marker} and {exit_code} are")
    return text


def _file_or_url(text: str) -> str:
    return _http_url(text) if text.startswith(("http:", "https:")) else text


def _notify_url(secret: SecretStr) -> SecretStr:
    if "://" not in secret.get_secret_value():
        raise ValueError("is not a notification address; write one with a scheme, such as slack:// or mailto://")
    return secret


def _key(secret: SecretStr) -> SecretStr:
    if 0 < len(secret.get_secret_value().encode()) < _SHORTEST_KEY:
        raise ValueError(f"is too short for a key; write at least {_SHORTEST_KEY} random characters")
    return secret


def _clock_time(text: str) -> str:
    if not _TIME.fullmatch(text):
        raise ValueError("is not a time of day; write HH:MM in Shanghai time, for example 10:00")
    return text


def _image_tag(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", value):
        raise ValueError("no tag of an image; letters, digits, _ . - and no more than 128 of them, such as 0.1.0")
    return value


HttpUrl = Annotated[Filled, AfterValidator(_http_url)]
Origin = Annotated[Filled, AfterValidator(_origin)]
Method = Annotated[Filled, AfterValidator(_method)]
Command = Annotated[Filled, AfterValidator(_command)]
Escalation = Annotated[Filled, AfterValidator(_command), AfterValidator(_escalation)]
FileOrUrl = Annotated[Filled, AfterValidator(_file_or_url)]
Key = Annotated[FilledSecret, AfterValidator(_key)]
NotifyUrl = Annotated[FilledSecret, AfterValidator(_notify_url)]
TimeOfDay = Annotated[Filled, AfterValidator(_clock_time)]
Ratio = Annotated[Rate, Field(le=1)]
ImageTag = Annotated[Filled, AfterValidator(_image_tag)]
Days = Annotated[Count, Field(le=3650)]
Directory = FilePath
"""Made when it is needed; relative ones start at the working directory."""
