"""The HTTP side of Vault through hvac: nothing from the environment, no redirects, no proxies, time limits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from runbook.secrets.diagnosis import Failure, failure_of, redirected
from runbook.secrets.errors import VaultError
from runbook.settings import VaultSettings

_log = logging.getLogger(__name__)

_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


class Connection:
    """One HTTP session. Blocking; for one thread at a time. Close it."""

    def __init__(self, settings: VaultSettings) -> None:
        """Connects to nothing yet. Raises VaultError for settings that cannot work and when hvac is not installed."""
        if settings.addr is None:
            raise VaultError("settings", "VAULT_ADDR is not set; write for example https://vault.example.com:8200")
        if settings.cacert is not None and not settings.cacert.is_file():
            raise VaultError("settings", f"VAULT_CACERT: there is no file {settings.cacert}; correct the path")
        try:
            import hvac  # type: ignore[import-untyped]  # noqa: PLC0415 - hvac has no types; needed for Vault only
            import requests  # noqa: PLC0415 - comes with hvac
        except ModuleNotFoundError:
            hvac = None
        if hvac is None:
            raise VaultError("settings", "the library hvac is not installed; run: pip install hvac")
        self.addr = settings.addr
        self._settings = settings
        if settings.addr.startswith("http://") and urlsplit(settings.addr).hostname not in _LOOPBACK:
            _log.warning("VAULT_ADDR is http: token and secrets travel in the clear; write https://")
        self._http = requests.Session()
        # no proxy, no ~/.netrc, no CA bundle of another program: the token goes where the settings say, or nowhere
        self._http.trust_env = False
        self._http.verify = True if settings.cacert is None else str(settings.cacert)
        self._client: Any = hvac.Client(
            url=settings.addr,
            token="",  # None would make hvac look into the environment and ~/.vault-token
            cert=(),
            verify=self._http.verify,
            timeout=settings.timeout_s,
            session=self._http,
            namespace=settings.namespace,
            allow_redirects=False,
        )

    def use(self, token: SecretStr) -> None:
        """The token of the requests that follow."""
        self._client.token = token.get_secret_value()

    def ask(self, call: Callable[[Any], Any]) -> Mapping[str, Any] | Failure:
        """``call`` an hvac client. The JSON answer (empty for none), or what went wrong; never raises for that."""
        try:
            answer = call(self._client)
        except Exception as error:  # noqa: BLE001 - whatever a library raises may quote a header, so none gets out
            return failure_of(error)
        if isinstance(answer, Mapping):
            return answer
        status = getattr(answer, "status_code", 0)
        if failure := redirected(status):
            return failure
        return {} if status == _NO_CONTENT else Failure("other", said="an answer that is not JSON")

    def secrets(self) -> tuple[str, ...]:
        """What must not turn up in a text, should the server repeat it."""
        settings = self._settings
        given = (settings.token, settings.secret_id)
        return (self._client.token, *(secret.get_secret_value() for secret in given if secret is not None))

    def close(self) -> None:
        """Idempotent."""
        self._client.token = ""
        self._http.close()

    def __repr__(self) -> str:
        return f"Connection({self.addr!r})"


_NO_CONTENT: Final = 204
