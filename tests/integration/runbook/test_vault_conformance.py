"""The store ``vault`` keeps what every secret store promises, on a real server."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping

import pytest

from gateway.clock import SystemClock
from gateway.ports import SecretStore
from gateway.testing import SecretPlace, SecretStoreContract
from runbook.secrets import VaultStore
from tests.integration.runbook.vault_server import Bao


class VaultPlace(SecretPlace):
    """A path and a token of its own on a server that others use too."""

    def __init__(self, bao: Bao) -> None:
        self._bao = bao
        self._name = uuid.uuid4().hex
        self.path, self.missing = f"secret/{self._name}", f"secret/{self._name}/nothing"

    def start(self) -> None:
        self._bao.policy("cards", "secret/data/*")
        self._token = self._bao.token("cards")
        self.change(self.values)

    def build(self) -> SecretStore:
        return VaultStore(self._bao.settings(self._token), SystemClock())

    def change(self, values: Mapping[str, str]) -> None:
        self._bao.put(self._name, **values)

    def break_it(self) -> None:
        self._bao.call("POST", "auth/token/revoke", {"token": self._token})


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    with Bao(tmp_path_factory.mktemp("bao")) as bao:
        yield bao


class TestVault(SecretStoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, bao: Bao) -> Iterator[None]:
        type(self).place = staticmethod(lambda: VaultPlace(bao))
        yield
        del type(self).place

    place: Callable[[], VaultPlace]
