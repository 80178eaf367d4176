"""Settings files without their secrets, and with them again.

What is left out has a mark in its place, which names it: ``NAME=<secret left out>`` in a file of variables,
``"<secret left out: feeds/ctp/…/password>"`` in TOML. Secret is what the settings models say (SecretStr), what its name
says (``…PASSWORD…``, ``…TOKEN…`` and so on), an address with a login, and whatever holds one of these texts again.
References to a secret store say where a secret is, and stay.
"""

from __future__ import annotations

import io
import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from dotenv.parser import Binding, parse_stream
from pydantic import SecretStr

from gateway.errors import FeedgateError
from gateway.settings import Settings
from gateway.settings import names as gateway_names
from runbook.settings import names as runbook_names

_MARKED: Final = "<secret left out"
_LEFT_OUT: Final = f"{_MARKED}>"
_TOML_MARK: Final = re.compile(r'"<secret left out: ([^">\\]*)>"')
_NAME: Final = re.compile(r"PASSW(OR)?D|SECRET|TOKEN|AUTH_?CODE|API_?KEY|AUDIT_?KEY|CREDENTIAL", re.IGNORECASE)
_LOGIN: Final = re.compile(r"://[^/\s]*@")
_COMMENTED: Final = re.compile(r"^(\s*#+\s*(?:export\s+)?)([\w.\"-]+)(\s*=\s*)(\S.*)$", re.MULTILINE)
_PLAIN: Final = re.compile(r"[^\">\\]*")
_REFERENCE: Final = "secret:"
_TELLING: Final = 8
"""Shorter texts are in other values by chance."""
_TELLING_IN_COMMENTS: Final = 4


class UnreadableError(FeedgateError):
    """A file whose secrets cannot be told from the rest."""

    code = "unreadable"


def secrets_in(path: Path, data: bytes) -> frozenset[str]:
    """The secret texts of a file; none of one that cannot be read."""
    try:
        text = _text(data)
        if _is_toml(path):
            found = [str(value) for where, value in _leaves(tomllib.loads(text)) if _is_secret_leaf(where, value)]
        else:
            found = [one.value or "" for one in _bindings(text) if one.key and _is_secret(one.key, one.value or "")]
    except UnreadableError:
        return frozenset()
    except (ValueError, RecursionError):  # no TOML
        return frozenset()
    plain = (value for value in found if not value.startswith(_MARKED))
    return frozenset(part for value in plain for part in _parts(value) if part)


def without_secrets(path: Path, data: bytes, known: Iterable[str] = ()) -> bytes:
    """The file with marks; the very same bytes when there is nothing to leave out. ``known``: secrets of other files.

    Raises UnreadableError when that cannot be done for certain; then nothing of it may be kept.
    """
    text = _text(data)
    secret = frozenset(known) | secrets_in(path, data)
    done = _toml_without(text, secret) if _is_toml(path) else _variables_without(text, secret)
    left = [one for one in secret if len(one) >= _TELLING and one in done]
    if left:
        raise UnreadableError(f"{path} has secrets in places where they cannot be left out")
    return done.encode()


def with_secrets(path: Path, kept: bytes, now: bytes | None) -> tuple[bytes, list[str]]:
    """A kept file with the secrets of the file as it is ``now``, and the names of those that are not there any more.

    Those are empty, which counts as not set. Raises UnreadableError when the present file cannot be read.
    """
    text, missing = _text(kept), list[str]()
    present = _text(now or b"")
    if not _is_toml(path):
        own: dict[str | None, Binding] = {
            one.key: one for one in _bindings(present) if one.key and one.value not in (None, "", _LEFT_OUT)
        }
        lines = [_with_variable(one, own, missing) for one in _bindings(text)]
        return "".join(lines).encode(), sorted(set(missing))
    if not _TOML_MARK.search(text):
        return kept, []
    try:
        leaves = {"/".join(map(str, where)): value for where, value in _leaves(tomllib.loads(present))}
    except (ValueError, RecursionError):
        raise UnreadableError(
            f"{path} cannot be read as it is now, and its secrets would be lost; correct it first"
        ) from None

    def value_of(mark: re.Match[str]) -> str:
        found = leaves.get(mark[1])
        if not isinstance(found, str) or not found:
            missing.append(mark[1].replace("/", "."))
            found = ""
        return json.dumps(found, ensure_ascii=False)

    return _TOML_MARK.sub(value_of, text).encode(), sorted(set(missing))


# -- files of variables ------------------------------------------------------------------------------------------------


def _variables_without(text: str, known: frozenset[str]) -> str:
    return "".join(_without_variable(one, known) for one in _bindings(text))


def _without_variable(one: Binding, known: frozenset[str]) -> str:
    written: str = one.original.string
    if one.error or (one.key is not None and one.value is None):
        if _NAME.search(written) or _LOGIN.search(written) or any(secret in written for secret in known):
            raise UnreadableError("a line that is not NAME=value may hold a secret")
        return written
    if one.key is None:
        return _comment_without(written, known)
    value = one.value or ""
    if _is_secret(one.key, value) or any(secret in written for secret in known if len(secret) >= _TELLING):
        lead = written[: len(written) - len(written.lstrip())]
        return f"{lead}{one.key}={_LEFT_OUT}\n"
    return _comment_of(written, value, known)


def _comment_of(written: str, value: str, known: frozenset[str]) -> str:
    """The comment behind a value may have an old one."""
    head, mark, comment = written.rpartition(" #")
    if not mark or len(head) < len(value):
        return written
    shown = head + mark + _hidden(comment, known)
    return shown if [one.value for one in _bindings(shown)] == [value] else written


def _comment_without(text: str, known: frozenset[str]) -> str:
    def left_out(found: re.Match[str]) -> str:
        lead, name, sign, value = found.groups()
        return f"{lead}{name}{sign}{_LEFT_OUT}" if _is_secret(name, value) else found[0]

    return _hidden(_COMMENTED.sub(left_out, text), known)


def _hidden(text: str, known: frozenset[str]) -> str:
    for secret in sorted(known, key=len, reverse=True):
        if len(secret) >= _TELLING_IN_COMMENTS:
            text = text.replace(secret, _LEFT_OUT)
    return text


def _with_variable(one: Binding, own: dict[str | None, Binding], missing: list[str]) -> str:
    written: str = one.original.string
    if one.key is None or one.value != _LEFT_OUT:
        return written
    lead = written[: len(written) - len(written.lstrip())]
    if one.key in own:
        return f"{lead}{own[one.key].original.string.strip()}\n"
    missing.append(one.key)
    return f"{lead}{one.key}=\n"


def _bindings(text: str) -> list[Binding]:
    found = list(parse_stream(io.StringIO(text)))
    if "".join(one.original.string for one in found) != text:
        raise UnreadableError("a file of variables that cannot be taken apart")
    return found


# -- TOML --------------------------------------------------------------------------------------------------------------


def _toml_without(text: str, known: frozenset[str]) -> str:
    try:
        leaves = dict(_leaves(tomllib.loads(text)))
    except (ValueError, RecursionError):
        if _NAME.search(text) or _LOGIN.search(text) or any(secret in text for secret in known):
            raise UnreadableError("it is no TOML, and may hold a secret") from None
        return text
    marks: dict[tuple[str | int, ...], str] = {}
    done = text
    for where, value in leaves.items():
        if not _is_secret_leaf(where, value) and not _holds(value, known):
            continue
        name = "/".join(map(str, where))
        marks[where] = f"<secret left out: {name}>"
        forms = (json.dumps(value, ensure_ascii=False), f"'{value}'")
        places = [(at, form) for form in forms if (at := done.find(form)) >= 0]
        if not isinstance(value, str) or not places or not _PLAIN.fullmatch(name):
            raise UnreadableError(f"{name} is written in a way in which it cannot be left out")
        at, form = min(places)
        done = f'{done[:at]}"{marks[where]}"{done[at + len(form) :]}'
    lines = (_comment_without(line, known) if line.lstrip().startswith("#") else line for line in done.split("\n"))
    done = "\n".join(lines)
    if marks or done != text:
        _verify(done, leaves, marks)
    return done


def _verify(done: str, leaves: dict[tuple[str | int, ...], Any], marks: dict[tuple[str | int, ...], str]) -> None:
    try:
        same = dict(_leaves(tomllib.loads(done))) == leaves | marks
    except (ValueError, RecursionError):
        same = False
    if not same:
        raise UnreadableError("its secrets cannot be told from the rest")


def _leaves(value: Any, where: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inside is None:
        yield where, value
        return
    for key, below in inside:
        yield from _leaves(below, (*where, key))


def _is_secret_leaf(where: tuple[str | int, ...], value: Any) -> bool:
    names = [one for one in where if isinstance(one, str)]
    if value == "" or (isinstance(value, str) and value.startswith(_REFERENCE)) or not names:
        return False
    if isinstance(value, bool | float):
        return False
    if names[0] == runbook_names.TABLE:
        annotation = runbook_names.annotation_of(tuple(names[1:]))
    else:
        annotation = Settings
        for name in names:
            annotation = None if annotation is None else gateway_names.member(annotation, name)
    telling = isinstance(value, str) or "PASS" in names[-1].upper()
    return _says_secret(annotation) or (telling and bool(_NAME.search(names[-1]))) or bool(_LOGIN.search(str(value)))


def _holds(value: Any, known: frozenset[str]) -> bool:
    return isinstance(value, str) and any(len(secret) >= _TELLING and secret in value for secret in known)


# -- what is secret ----------------------------------------------------------------------------------------------------


def _is_secret(name: str, value: str) -> bool:
    if not value.strip() or value.startswith(_REFERENCE) or value == _LEFT_OUT:
        return value == _LEFT_OUT
    plain = name.removeprefix("\ufeff")
    found = gateway_names.resolve(plain) or runbook_names.resolve(plain)
    says = found is not None and _says_secret(found[1])
    return says or bool(_NAME.search(name)) or bool(_LOGIN.search(value))


def _says_secret(annotation: Any) -> bool:
    return SecretStr.__name__ in repr(annotation)


def _parts(value: str) -> Iterator[str]:
    """It, and what of it is secret alone: the token of ``role:name:token``, the password of an address."""
    yield value
    for one in value.split(","):
        yield one.strip()
        if "://" in one:
            try:
                yield urlsplit(one.strip()).password or ""
            except ValueError:
                continue
        elif one.count(":") > 1:
            yield one.strip().split(":", 2)[2]


def _is_toml(path: Path) -> bool:
    return path.suffix.lower() == ".toml"


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UnreadableError("it is not UTF-8") from None
