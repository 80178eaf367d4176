"""Which texts a server takes for a subject. A space or a line break in one would be read as protocol."""

from __future__ import annotations

import re

from gateway.errors import BusError

_TOKEN = r"[^\s\x00-\x1f\x7f.*>]+"  # noqa: S105 - a subject token, not a secret
_SUBJECT = re.compile(rf"{_TOKEN}(?:\.{_TOKEN})*")
_PATTERN = re.compile(rf"(?:(?:{_TOKEN}|\*)\.)*(?:{_TOKEN}|\*|>)")


def check_subject(subject: str) -> str:
    """The subject, when a message can be sent to it. Raises BusError."""
    if not _SUBJECT.fullmatch(subject):
        raise BusError(
            f"{subject!r} cannot be published to: a subject is tokens between dots, without wildcards and"
            " white space; encode names with gateway.subjects.token",
            subject=subject,
        )
    return subject


def check_pattern(subject: str) -> str:
    """The subject, when it can be subscribed to: ``*`` is one token, a last ``>`` is all the rest. Raises BusError."""
    if not _PATTERN.fullmatch(subject):
        raise BusError(
            f"{subject!r} cannot be subscribed to: write tokens between dots, * for one token, > as the last one",
            subject=subject,
        )
    return subject
