"""Why Vault did not give a secret: what is asked further to tell one 403 or 404 from another."""

from __future__ import annotations

from typing import Any, Final

from runbook.secrets.connection import Connection
from runbook.secrets.diagnosis import Failure, explain, table
from runbook.secrets.errors import VaultError
from runbook.secrets.place import Place
from runbook.settings import VaultSettings

_SEALED: Final = 503
_LOGIN_REFUSED: Final = (400, 403, 404)
_NO_NAMESPACE: Final = "namespace not found"
_NO_MOUNT: Final = "no handler for route"


def look_up_self(vault: Any) -> Any:
    """A token that may do nothing else may do this (policy ``default``), unless it is dead."""
    return vault.auth.token.lookup_self()


class Reasons:
    """Makes VaultErrors. May ask Vault once or twice, with the token in use."""

    def __init__(self, vault: Connection, settings: VaultSettings) -> None:
        self._vault, self._settings = vault, settings
        self._namespace = (settings.namespace or "").strip("/")
        self._where = f"Vault at {vault.addr}" + (f", namespace {self._namespace}" if self._namespace else "")

    def why(self, failure: Failure, place: Place, policy_path: str) -> VaultError:
        """After a failed read. ``policy_path`` is what a policy has to allow for it."""
        if _NO_NAMESPACE in failure.said:
            return self.explained(failure, str(place))
        if failure.denied:
            return self._denied(place, policy_path)
        if failure.missing:
            return self._nothing_there(failure, place)
        return self.explained(failure, str(place))

    def after_lookup(self, failure: Failure) -> VaultError:
        """After a token could not look itself up."""
        return self.dead_token() if failure.denied else self.explained(failure, "the token's own record")

    def dead_token(self) -> VaultError:
        """A token that Vault does not take; it does not say which of the reasons it is."""
        again = "log in again and set VAULT_TOKEN" if self._settings.secret_id is None else "try again, it logs in anew"
        return VaultError(
            "token",
            f"{self._where}: the token is not valid (expired, revoked or of another namespace), or lacks the policy "
            f"default; {again}",
        )

    def login_refused(self, failure: Failure) -> VaultError:
        """After a failed AppRole login."""
        if failure.sort != "http" or failure.status not in _LOGIN_REFUSED or _NO_NAMESPACE in failure.said:
            return self.explained(failure, "the AppRole login")
        return VaultError(
            "login",
            f"{self._where}: the AppRole login was refused; check VAULT_ROLE_ID, make a new VAULT_SECRET_ID (it may "
            "have expired or be used up), and check that approle is enabled there",
        )

    def explained(self, failure: Failure, what: str) -> VaultError:
        """What is not special to one request."""
        if failure.status == _SEALED:
            answer = self._vault.ask(lambda vault: vault.sys.read_seal_status())
            if not isinstance(answer, Failure) and answer.get("initialized") is False:
                failure = Failure("http", status=501)
        return explain(
            failure, addr=self._vault.addr, namespace=self._namespace, what=what, secrets=self._vault.secrets()
        )

    def _denied(self, place: Place, policy_path: str) -> VaultError:
        if isinstance(self._vault.ask(look_up_self), Failure):
            return self.dead_token()
        if self._kv_version(place) == "1":
            return self._kv1(place)
        namespace = f", in the namespace {self._namespace}" if self._namespace else "; or is VAULT_NAMESPACE missing?"
        return VaultError(
            "denied",
            f"{self._where}: permission denied for {place}; its policy needs: "
            f'path "{policy_path}" {{ capabilities = ["read"] }}{namespace}',
        )

    def _nothing_there(self, failure: Failure, place: Place) -> VaultError:
        bare = f"{place.mount}/{place.path}"
        if failure.deleted:
            undo = "undelete it, or write it again" if failure.deleted == "deleted" else "write it again"
            return VaultError("deleted", f"{self._where}: {place} is {failure.deleted}; {undo}: vault kv put {bare}")
        if _NO_MOUNT in failure.said:
            other = f"or VAULT_NAMESPACE ({self._namespace})" if self._namespace else "or set VAULT_NAMESPACE"
            return VaultError(
                "mount", f"{self._where}: no engine is mounted at {place.mount}; correct the path, {other}"
            )
        if self._kv_version(place) == "1":
            return self._kv1(place)
        if place.version:
            listing = f"vault kv metadata get {bare}"
            return VaultError("version", f"{self._where}: {place} does not exist; see what does: {listing}")
        return VaultError(
            "path", f"{self._where}: there is nothing at {place}; correct the path, or write it: vault kv put {bare}"
        )

    def _kv1(self, place: Place) -> VaultError:
        return VaultError(
            "kv1",
            f"{self._where}: {place.mount} is a KV engine of version 1, which keeps no versions; "
            f"run: vault kv enable-versioning {place.mount}",
        )

    def _kv_version(self, place: Place) -> str:
        """``1`` or ``2``; empty when the token may not see it."""
        path = f"/v1/sys/internal/ui/mounts/{place.mount}/{place.path}"
        answer = self._vault.ask(lambda vault: vault.adapter.get(path))
        if isinstance(answer, Failure):
            return ""
        data = table(answer, "data")
        return str(table(data, "options").get("version", "1")) if data.get("type") in ("kv", "generic") else ""
