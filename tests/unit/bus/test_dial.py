"""URLs, and what the cluster adds to them."""

from __future__ import annotations

from urllib.parse import urlparse

import pytest

from gateway.bus.dial import Dialler, NatsOptions, server_of, shown


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("nats://127.0.0.1:4333", "nats://127.0.0.1:4333"),
        ("example.org", "nats://example.org:4222"),
        ("example.org:1", "nats://example.org:1"),
        ("tls://example.org", "tls://example.org:4222"),
        ("nats://[::1]:9", "nats://[::1]:9"),
        ("nats://user:pass@example.org:1/", "nats://example.org:1"),
    ],
)
def test_urls_are_completed_and_lose_their_credentials(url, expected):
    assert server_of(url, NatsOptions(urls=())).url == expected


@pytest.mark.parametrize(
    ("url", "user", "password", "token"),
    [
        ("nats://h", "u", "p", None),
        ("nats://a:b%3A%40c@h", "a", "b:@c", None),
        ("nats://just-a-token@h", None, None, "just-a-token"),
    ],
)
def test_credentials_of_a_url_go_before_the_common_ones(url, user, password, token):
    server = server_of(url, NatsOptions(urls=(), user="u", password="p"))
    assert (server.user, server.password, server.token) == (user, password, token)


def test_secrets_are_in_no_repr():
    options = NatsOptions(urls=("nats://u:hidden@h",), user="u", password="hidden", token="hidden")
    assert "hidden" not in repr(options)
    assert "hidden" not in repr(server_of(options.urls[0], options))
    assert shown("nats://u:p@with@at:1") == "nats://at:1"


def test_announced_servers_are_tried_after_ours_with_our_credentials_and_name():
    dialler = Dialler(NatsOptions(urls=("tls://u:p@nats.example.org:1",)))
    teller = dialler.servers[0]
    dialler._remember([urlparse("tls://10.0.0.2:1"), urlparse("tls://nats.example.org:1")], teller)
    dialler._remember([urlparse("tls://10.0.0.2:1"), urlparse("tls://other.example.org:1")], teller)
    assert [server.url for server in dialler.servers[1:]] == ["tls://10.0.0.2:1", "tls://other.example.org:1"]
    assert {(server.user, server.password, server.tls) for server in dialler.servers} == {("u", "p", True)}
    assert [server.tls_hostname for server in dialler.servers[1:]] == ["nats.example.org", None]
