"""The stores of the gateway itself; Vault's is in tests/integration."""

from __future__ import annotations

from gateway.testing.secret_contract import SecretStoreContract
from gateway.testing.secret_places import EnvPlace, FilePlace


class TestEnvironment(SecretStoreContract):
    place = EnvPlace


class TestFile(SecretStoreContract):
    place = FilePlace
