"""Servers that are not as they should be: sealed, not initialised, gone, with a certificate that nobody knows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from runbook.secrets import VaultError, VaultStore
from runbook.settings import VaultSettings
from tests.integration.runbook.vault_server import Bao


def read(settings: VaultSettings, path: str = "secret/ctp/live") -> dict[str, str]:
    return dict(VaultStore(settings, SystemClock()).read(path))


def refusal(settings: VaultSettings) -> VaultError:
    with pytest.raises(VaultError) as caught:
        read(settings)
    return caught.value


def test_a_file_backed_server_from_its_first_start_to_its_end(tmp_path: Path) -> None:
    with Bao(tmp_path / "bao", mode="file") as bao:
        error = refusal(bao.settings("t"))
        assert error.reason == "uninitialised"
        assert "operator init" in str(error)

        key = bao.initialise()
        error = refusal(bao.settings())
        assert error.reason == "sealed"
        assert "operator unseal" in str(error)

        bao.unseal(key)
        bao.mount()
        bao.put("ctp/live", A="kept on disk")
        assert read(bao.settings()) == {"A": "kept on disk"}

        bao.stop()
        assert refusal(bao.settings()).reason == "unreachable"

        bao.start()
        assert refusal(bao.settings()).reason == "sealed"
        role = VaultSettings(addr=bao.url, role_id="r", secret_id="s")
        assert refusal(role).reason == "sealed"  # the login finds out first
        bao.unseal(key)
        assert read(bao.settings()) == {"A": "kept on disk"}

        bao.call("PUT", "sys/seal")
        assert refusal(bao.settings()).reason == "sealed"


def test_a_certificate_is_checked_against_the_ca_of_the_settings_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bao(tmp_path / "bao", mode="dev-tls") as bao:
        bao.put("ctp/live", A="x")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bao.ca))
        error = refusal(bao.settings())
        assert error.reason == "tls"
        assert "set VAULT_CACERT" in str(error)
        assert read(bao.settings(cacert=bao.ca)) == {"A": "x"}

        plain = VaultSettings(addr=bao.url.replace("https", "http"), token=bao.root)
        error = refusal(plain)
        assert error.reason == "tls"
        assert "write https://" in str(error)


def test_https_to_a_server_without_tls_says_so(tmp_path: Path) -> None:
    with Bao(tmp_path / "bao") as bao:
        error = refusal(VaultSettings(addr=bao.url.replace("http", "https"), token=bao.root))
    assert error.reason == "tls"
    assert "does not speak TLS" in str(error)


class _Redirects(BaseHTTPRequestHandler):
    """Sends every request somewhere else, and remembers what it was shown."""

    def do_GET(self) -> None:
        self.send_response(307)
        self.send_header("Location", f"http://localhost:{self.server.server_port}/elsewhere")  # type: ignore[attr-defined]  # the server carries what the test wants to see
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.seen.append(self.path)  # type: ignore[attr-defined]  # the server carries what the test wants to see

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def redirecting() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), _Redirects)
    server.seen = []  # type: ignore[attr-defined]  # the server carries what the test wants to see
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_redirect_is_not_followed_because_the_token_would_go_along(redirecting: HTTPServer) -> None:
    error = refusal(VaultSettings(addr=f"http://127.0.0.1:{redirecting.server_port}", token="t"))
    assert error.reason == "redirect"
    assert "/elsewhere" not in redirecting.seen  # type: ignore[attr-defined]  # the server carries what the test wants to see
