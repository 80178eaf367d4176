from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import LineError
from gateway.thost.fronts import parse_fronts


def test_one_or_several_fronts_are_read():
    assert parse_fronts("tcp://180.168.146.187:10211") == ("tcp://180.168.146.187:10211",)
    assert parse_fronts("tcp://a-1.example:1, tcp://b:65535,") == ("tcp://a-1.example:1", "tcp://b:65535")


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ",", "180.168.146.187:10211", "tcp://", "tcp://host", "tcp://host:", "tcp://:1", "tcp://host:0",
        "tcp://host:65536", "tcp://host:1/path", "udp://host:1", "TCP://host:1", "tcp://ho st:1", "tcp://host:1 2",
        "tcp://host:x", "tcp://-host:1", "tcp://host:1;tcp://host:2", "tcp://[::1]:1", "tcp://host:１",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_the_fix(text):
    with pytest.raises(LineError, match="tcp://HOST:PORT"):
        parse_fronts(text)


def test_a_password_in_an_address_is_not_repeated():
    with pytest.raises(LineError) as caught:
        parse_fronts("tcp://user:secret-word@host:1")
    assert "secret-word" not in str(caught.value)


@given(st.text())
def test_what_is_accepted_is_always_of_the_safe_form(text):
    try:
        fronts = parse_fronts(text)
    except LineError:
        return
    for front in fronts:
        scheme, host, port = front.split(":")
        assert scheme == "tcp"
        assert host.startswith("//")
        assert 0 < int(port) < 65536
        assert front.isascii()
