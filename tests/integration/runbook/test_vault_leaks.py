"""Planted secrets, and a search for them in everything that comes out: logs, errors, reprs, processes, files."""

from __future__ import annotations

import base64
import gc
import http.server
import io
import json
import logging
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.errors import FeedgateError
from runbook.secrets import Place, VaultSession, VaultStore, clear, new_credentials, pull
from runbook.settings import VaultSettings
from tests.integration.runbook.vault_server import Bao

VALUE = "planted-value-71c4"
TOKEN = "planted-token-93ab"
SECRET_ID = "planted-secret-id-5f20"
PLANTED = (VALUE, TOKEN, SECRET_ID)


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    with Bao(tmp_path_factory.mktemp("bao")) as bao:
        bao.put("ctp/live", CTP_PRIMARY_PASSWORD=VALUE, NOTE=VALUE)
        bao.put("bad/slip", CTP_PRIMARY_PASWORD=VALUE)
        bao.put("bad/line", CTP_PRIMARY_PASSWORD=f"{VALUE}\n{VALUE}")
        bao.put("bad/type", CTP_PRIMARY_PASSWORD=[VALUE])
        bao.put("bad/foreign", NOTE=VALUE)
        bao.policy("reader", "secret/data/ctp/live", "secret/data/bad/*")
        bao.token("reader", id=TOKEN)
        bao.approle("reader")
        bao.call("POST", "auth/approle/role/planted", {"token_policies": ["reader"]})
        bao.call("POST", "auth/approle/role/planted/custom-secret-id", {"secret_id": SECRET_ID})
        yield bao


def role_id(bao: Bao) -> str:
    text: str = bao.call("GET", "auth/approle/role/planted/role-id")["data"]["role_id"]
    return text


def finds(text: str) -> list[str]:
    forms = {secret: (secret, base64.b64encode(secret.encode()).decode().rstrip("=")[:-2]) for secret in PLANTED}
    return [secret for secret, written in forms.items() if any(form in text for form in written)]


def told(error: BaseException) -> str:
    """Everything that an error could show: texts, fields, whatever is chained, and tracebacks with their locals."""
    out = io.StringIO()
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        waiting += [one.__cause__, one.__context__]
        out.write(f"{one} {one!r} {one.args!r} {vars(one)!r}\n")
        frames = [
            frame for frame in traceback.walk_tb(one.__traceback__) if "/tests/" not in frame[0].f_code.co_filename
        ]
        shown = traceback.StackSummary.extract(iter(frames), capture_locals=True)
        out.writelines(shown.format())
    return out.getvalue()


def failing(bao: Bao, tmp_path: Path) -> dict[str, Callable[[], object]]:
    clock = SystemClock()
    good = {"token": TOKEN, "runtime_file": tmp_path / ".env.runtime"}
    with_path = {
        name: VaultSettings(addr=bao.url, path=f"bad/{name}", **good) for name in ("slip", "line", "type", "foreign")
    }
    wrong_role = VaultSettings(addr=bao.url, role_id="nobody", secret_id=SECRET_ID)
    dead = "http://127.0.0.1:9"
    (tmp_path / "open").mkdir(mode=0o777)
    (tmp_path / "open").chmod(0o777)
    return {name: lambda settings=settings: pull(settings, clock) for name, settings in with_path.items()} | {
        "denied": lambda: VaultStore(VaultSettings(addr=bao.url, **good), clock).read("secret/other"),
        "gone": lambda: VaultStore(VaultSettings(addr=dead, **good), clock).read("secret/ctp/live"),
        "role": lambda: VaultStore(wrong_role, clock).read("secret/ctp/live"),
        "role gone": lambda: VaultStore(VaultSettings(addr=dead, role_id="r", secret_id=SECRET_ID), clock).read("a/b"),
        "bad header": lambda: VaultStore(VaultSettings(addr=bao.url, token=f" {TOKEN}"), clock).read("secret/ctp/live"),
        "not latin": lambda: VaultStore(VaultSettings(addr=bao.url, token=f"{TOKEN}密"), clock).read("secret/ctp/live"),
        "open directory": lambda: pull(
            VaultSettings(addr=bao.url, token=TOKEN, runtime_file=tmp_path / "open" / "x"), clock
        ),
        "lost in rotation": lambda: _rotate(bao, clock),
    }  # fmt: skip


def _rotate(bao: Bao, clock: SystemClock) -> object:
    bao.put("bad/rotate", CTP_PRIMARY_PASSWORD=VALUE)
    bao.put("bad/rotate", NOTE=VALUE)
    with VaultSession(VaultSettings(addr=bao.url, token=TOKEN), clock) as session:
        return new_credentials(session, Place("secret", "bad/rotate"), "ctp", "primary", since=1)


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    for name in ("hvac", "requests", "urllib3", "urllib3.connectionpool", "runbook", "gateway"):
        caplog.set_level(logging.DEBUG, name)
    return caplog


def test_no_failure_shows_a_secret(bao: Bao, tmp_path: Path, everything_logged: pytest.LogCaptureFixture) -> None:
    tmp_path.chmod(0o700)
    for name, fail in failing(bao, tmp_path).items():
        with pytest.raises(FeedgateError) as caught:
            fail()
        assert finds(told(caught.value)) == [], name
        assert caught.value.__cause__ is None, name
        assert caught.value.__context__ is None, name
    assert "urllib3" in {record.name.partition(".")[0] for record in everything_logged.records}
    assert finds(everything_logged.text) == []


def test_success_shows_no_secret_either(bao: Bao, tmp_path: Path, everything_logged: pytest.LogCaptureFixture) -> None:
    tmp_path.chmod(0o700)
    file = tmp_path / ".env.runtime"
    clock = SystemClock()
    settings = VaultSettings(addr=bao.url, role_id=role_id(bao), secret_id=SECRET_ID, runtime_file=file)
    store = VaultStore(settings, clock)
    with VaultSession(settings, clock) as session:
        secret = session.read(Place("secret", "ctp/live"))
        shown = [repr(session), repr(session._vault), repr(secret), str(secret.values)]
    result = pull(settings, clock)
    shown += [
        repr(store),
        repr(store.read("secret/ctp/live")),
        repr(settings),
        repr(result),
        json.dumps(dict(result.details)),
    ]
    shown += [repr(clear(file)), everything_logged.text]
    assert secret.values["CTP_PRIMARY_PASSWORD"] == VALUE
    assert finds("\n".join(shown)) == []


class _Repeats(http.server.BaseHTTPRequestHandler):
    """Answers with what it was sent, as some proxies do."""

    def do_GET(self) -> None:
        self._answer(f"bad token {self.headers['X-Vault-Token']}")

    def do_POST(self) -> None:
        self._answer(f"bad login {self.rfile.read(int(self.headers['Content-Length'])).decode()}")

    def _answer(self, words: str) -> None:
        body = json.dumps({"errors": [words]}).encode()
        self.send_response(500, words.replace("\n", " "))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def repeating() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Repeats) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("login", "words"),
    [({"token": TOKEN}, r"bad token \*\*\*"), ({"role_id": "r", "secret_id": SECRET_ID}, r"bad login .*\*\*\*")],
)
def test_a_server_that_repeats_what_it_was_sent_is_quoted_without_the_secret(
    repeating: str, everything_logged: pytest.LogCaptureFixture, login: dict[str, str], words: str
) -> None:
    store = VaultStore(VaultSettings(addr=repeating, **login), SystemClock())
    with pytest.raises(FeedgateError, match=words) as caught:
        store.read("secret/ctp/live")
    assert finds(told(caught.value)) == []
    assert finds(everything_logged.text) == []


def test_nothing_keeps_the_values_after_a_session(bao: Bao) -> None:
    import hvac
    import requests

    with VaultSession(VaultSettings(addr=bao.url, token=TOKEN), SystemClock()) as session:
        session.read(Place("secret", "ctp/live"))
    assert session._vault._client.token == ""
    del session
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, hvac.Client | requests.Session)]


_PULLS = """
import logging, os, pathlib, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
from gateway.clock import SystemClock
from runbook.secrets import clear, pull
from runbook.settings import load_runbook_settings
settings = load_runbook_settings(env_files=[pathlib.Path(sys.argv[1])]).vault
print(pull(settings, SystemClock()))
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        status = pathlib.Path(f"/proc/{pid}/stat").read_text()
        parent = status.rpartition(")")[2].split()[1]
        if pid == str(os.getpid()) or parent == str(os.getpid()):
            print(pid, parent, *(pathlib.Path(f"/proc/{pid}/{what}").read_bytes() for what in ("cmdline", "environ")))
    except OSError:
        continue
print(dict(os.environ))
print(clear(settings.runtime_file))
"""


def test_arguments_environment_and_output_of_the_process_hold_no_secret(bao: Bao, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    login = tmp_path / ".env.live"
    login.touch(0o600)
    login.write_text(
        f"VAULT_ADDR={bao.url}\nVAULT_TOKEN={TOKEN}\nRUNBOOK_VAULT__RUNTIME_FILE={tmp_path / '.env.runtime'}\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", _PULLS, str(login)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=Path(__file__).parents[3],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )
    assert "1 variable of secret/ctp/live" in ran.stdout
    assert "urllib3.connectionpool" in ran.stderr
    assert "cmdline" not in ran.stderr
    assert finds(ran.stdout + ran.stderr) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [".env.live"]


def test_the_search_itself_would_find_a_secret() -> None:
    hidden = FeedgateError("harmless")
    hidden.__suppress_context__ = True
    hidden.__context__ = ValueError(TOKEN)
    assert finds(told(hidden)) == [TOKEN]
    assert finds(told(FeedgateError("harmless", where=SECRET_ID))) == [SECRET_ID]
    assert finds(base64.b64encode(VALUE.encode()).decode()) == [VALUE]
    assert finds(repr({"password": VALUE})) == [VALUE]
