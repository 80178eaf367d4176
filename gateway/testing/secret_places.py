"""The places of the gateway's own secret stores."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from gateway.ports import SecretStore
from gateway.secrets.env import EnvStore
from gateway.secrets.env import gateway_secret_stores as env_stores
from gateway.secrets.file import gateway_secret_stores as file_stores
from gateway.testing.secret_cards import SecretPlace


class EnvPlace(SecretPlace):
    """Variables of its own, not the process's."""

    kind = env_stores()[0]
    path, missing = "BROKER", "NOBODY"

    def __init__(self) -> None:
        self._variables: dict[str, str] = {}

    def start(self) -> None:
        self.change(self.values)

    def build(self) -> SecretStore:
        return EnvStore(lambda: self._variables)

    def change(self, values: Mapping[str, str]) -> None:
        self._variables = {f"{self.path}_{key}": value for key, value in values.items()}

    def break_it(self) -> None:
        self._variables = {}


class FilePlace(SecretPlace):
    """A file in a directory of its own."""

    kind = file_stores()[0]

    def __init__(self) -> None:
        self._directory: Path | None = None

    def start(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="feedgate-secrets-"))
        self.path, self.missing = str(self._directory / "secrets.toml"), str(self._directory / "none.toml")
        self.change(self.values)

    def stop(self) -> None:
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def change(self, values: Mapping[str, str]) -> None:
        file = Path(self.path)
        file.touch(0o600)
        file.write_text("".join(f'{key} = "{value}"\n' for key, value in values.items()), encoding="utf-8")

    def break_it(self) -> None:
        Path(self.path).write_text(f'password = "{self.values["password"]}', encoding="utf-8")  # it ends too early
