"""From Vault's values to lines of a ``.env`` file, and back through the gateway's settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings import load_settings
from runbook.secrets import HiddenValues, VaultError
from runbook.secrets.variables import Variables, check_lines, lines_of, variables_of

ODD = [
    "plain", "$HOME", "${HOME}x", "a'b", 'a"b', "'quoted'", '"quoted"', "a b", " leading", "trailing ", "#hash", "a #b",
    "back\\slash", "\\n", "\\'", '\\"', "ends\\", "ends'\\", "ends\\\\", "a=b", "`x`", "密码",
    "'\"$\\#", "export A=1", "''", '""',
]  # fmt: skip


REST = {
    "CTP_PRIMARY_BROKER_ID": "9999",
    "CTP_PRIMARY_USER_ID": "160219",
    "CTP_PRIMARY_MD_ADDRESS": "tcp://127.0.0.1:1",
    "CTP_PRIMARY_TD_ADDRESS": "tcp://127.0.0.1:2",
    "CTP_PRIMARY_APP_ID": "client",
}
"""What stands in ``.env.live``, beside the secrets of the runtime file."""


def given_by(values: dict[str, str], where: str) -> Variables:
    return variables_of(HiddenValues(values), where)


def read_back(text: str, tmp_path: Path) -> str:
    path = tmp_path / ".env.runtime"
    path.write_text(text)
    path.chmod(0o600)
    found = load_settings(env_files=[path], environ=REST)
    return found.feeds["ctp"].accounts["primary"].password.get_secret_value()


@pytest.mark.parametrize("password", ODD)
def test_the_gateway_reads_back_exactly_what_vault_has(password: str, tmp_path: Path) -> None:
    values = {
        "CTP_PRIMARY_PASSWORD": password,
        "CTP_PRIMARY_AUTH_CODE": password,
        "NATS_PASSWORD": "x",
        "NATS_URL": "nats://127.0.0.1:1",
        "NATS_USER": "u",
    }
    assert read_back(lines_of(given_by(values, "secret/x").values), tmp_path) == password


@given(
    st.text(st.characters(min_codepoint=32, exclude_categories=("C", "Z")) | st.sampled_from(" '\"\\$#="), min_size=1)
)
def test_whatever_is_accepted_is_read_back_exactly(password: str) -> None:
    from runbook.secrets.variables import _parsed

    values = {"CTP_PRIMARY_PASSWORD": password, "CTP_BACKUP_PASSWORD": password, "NATS_PASSWORD": "x"}
    try:
        found = given_by(values, "secret/x")
    except VaultError:
        return
    if password.strip():
        check_lines(found.values)
        assert _parsed(lines_of(found.values)) == values


@pytest.mark.parametrize("password", ["two\nlines", "cr\rlf", "nul\0", "tab\there", "esc\x1b[0m", "line\u2028"])
def test_a_value_that_does_not_fit_a_line_is_refused_by_name_only(password: str) -> None:
    with pytest.raises(VaultError, match="CTP_PRIMARY_PASSWORD has a line end or control character") as caught:
        given_by({"CTP_PRIMARY_PASSWORD": password}, "secret/x")
    assert password not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CTP_PRIMARY_PASWORD", "CTP_PRIMARY_PASSWORD"),
        ("ctp_primary_password", "CTP_PRIMARY_PASSWORD"),
        ("OPS_API_TOKENZ", "OPS_API_TOKEN"),
    ],
)
def test_a_slip_of_the_pen_is_refused_with_what_was_meant(name: str, meant: str) -> None:
    with pytest.raises(VaultError, match=f"{name} is no setting; did you mean {meant}"):
        given_by({name: "s3cr3t", "CTP_BACKUP_PASSWORD": "x"}, "secret/x")


def test_names_of_others_and_the_way_into_vault_are_left_out_and_told() -> None:
    values = {"CTP_PRIMARY_PASSWORD": "x", "LD_PRELOAD": "/x", "VAULT_TOKEN": "t", "CTP_BACKUP_PASSWORD": "  "}
    found = given_by(values, "secret/x")
    assert dict(found.values) == {"CTP_PRIMARY_PASSWORD": "x"}
    assert found.foreign == ("LD_PRELOAD", "VAULT_TOKEN")
    assert found.empty == ("CTP_BACKUP_PASSWORD",)


def test_a_place_without_any_setting_is_an_error_that_lists_its_names() -> None:
    with pytest.raises(VaultError, match="no setting with a value; it has: SOMETHING"):
        given_by({"SOMETHING": "s3cr3t"}, "secret/x")


def test_the_runbooks_own_secrets_are_variables_too() -> None:
    assert dict(given_by({"OPS_API_TOKEN": "x"}, "secret/x").values) == {"OPS_API_TOKEN": "x"}
