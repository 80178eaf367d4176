"""Secrets are found in whatever form they are written."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from runbook.model import Role
from runbook.runner import MASK, Masker
from runbook.settings import RunbookSettings, secrets_of

SECRET = 'p&ss "w/ö\\rd'


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps(SECRET),
        repr(SECRET),
        repr(SECRET.encode()),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_secret_is_masked_in_every_writing(written: str) -> None:
    masked = Masker([SECRET]).text(f"before {written} after")
    assert MASK in masked
    assert written not in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")


@given(st.text(min_size=4).filter(str.strip), st.text(), st.text())
def test_no_text_of_some_length_survives(secret: str, before: str, after: str) -> None:
    masked = Masker([secret]).text(before + secret + after)
    assert secret not in masked or secret in MASK or secret in masked.replace(MASK, "")
    assert MASK in masked


def test_short_secrets_are_masked_as_words_only() -> None:
    masker = Masker(["ab"])
    assert masker.text("ab cab ab! tab") == "*** cab ***! tab"


def test_a_longer_secret_wins_over_one_inside_it() -> None:
    assert Masker(["secret", "secret-two"]).text("secret-two") == MASK


def test_members_named_like_a_secret_are_masked_whole() -> None:
    value = {"api_key": "x1", "Password": {"a": 1}, "auth_code": 7, "has_token": True, "token": "", "count": 3}
    assert Masker().mapping(value) == {
        "api_key": MASK,
        "Password": MASK,
        "auth_code": MASK,
        "has_token": True,
        "token": "",
        "count": 3,
    }


def test_any_value_becomes_json_without_secrets() -> None:
    class Inside(BaseModel):
        path: Path
        hidden: SecretStr

    masker = Masker(["1234567"])
    value = {
        "number": 1234567,
        "float": 1234567.5,
        "nan": float("nan"),
        "inf": float("inf"),
        "model": Inside(path=Path("/x/1234567"), hidden=SecretStr("abc")),
        "role": Role.ADMIN,
        "set": {1},
        "error": ValueError("1234567"),
        1234567: None,
    }
    masked = masker.value(value)
    assert "1234567" not in json.dumps(masked, allow_nan=False)
    assert masked["model"] == {"path": "/x/***", "hidden": MASK}
    assert masked["role"] == "admin"


def test_a_structure_that_contains_itself_ends() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert "..." in json.dumps(Masker().value(loop))


def test_its_repr_counts_and_does_not_tell() -> None:
    assert repr(Masker(["hunter2", "", "  "])) == "Masker(1 secrets)"


def test_it_learns_secrets_later() -> None:
    masker = Masker()
    assert masker.text("hunter2") == "hunter2"
    masker.add("hunter2")
    assert masker.text("hunter2") == MASK


def test_tokens_and_passwords_inside_settings_are_secrets_of_their_own() -> None:
    settings = RunbookSettings.model_validate(
        {
            "api": {"tokens": ["admin:wang:tok-one", "tok-two"]},
            "notify": {"urls": ["mailto://user:mail-pass@example.com", "slack://TokenAAAAAAAA/TokenBBBBBBBB"]},
            "vault": {"addr": "http://127.0.0.1:8200", "token": "hvs.abc"},
        }
    )
    found = secrets_of(settings)
    assert {"tok-one", "tok-two", "mail-pass", "hvs.abc", "TokenBBBBBBBB", "TokenAAAAAAAA"} <= found
    assert "wang" not in found
    assert "example.com" not in found


def test_a_reference_to_a_secret_store_is_no_secret() -> None:
    settings = RunbookSettings.model_validate({"api": {"token": "secret:file:/etc/feedgate/secrets.toml#ops"}})
    assert secrets_of(settings) == frozenset()
