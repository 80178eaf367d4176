"""A login at Vault: takes a token or logs in with an AppRole, keeps the token alive, reads, and gives it back."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from pydantic import SecretStr

from gateway.clock import Clock
from runbook.secrets.connection import Connection
from runbook.secrets.diagnosis import Failure, table, whole
from runbook.secrets.errors import VaultError
from runbook.secrets.hidden import HiddenValues, Secret
from runbook.secrets.place import Place
from runbook.secrets.reasons import Reasons, look_up_self
from runbook.settings import VaultSettings

_log = logging.getLogger(__name__)

_DUE: Final = 1 / 3
"""A token is renewed when this share of its life is left."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a secret, without what is in it."""

    number: int
    created: str
    gone: bool
    """Deleted or destroyed: it cannot be read."""


class VaultSession:
    """Blocking; for one thread at a time; a context manager. Every method raises VaultError.

    A token that it got itself (AppRole) is revoked at the end; a given one is left alone.
    """

    def __init__(self, settings: VaultSettings, clock: Clock) -> None:
        """Asks nothing yet. Raises VaultError for settings that cannot work."""
        self._settings, self._clock = settings, clock
        self._vault = Connection(settings)
        self._reasons = Reasons(self._vault, settings)
        if settings.token is None and settings.secret_id is None:
            raise VaultError(
                "settings", "there is no login for Vault; set VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID"
            )
        self._token: SecretStr | None = None
        self._life_s = math.inf
        self._ends = math.inf
        """By the monotonic clock."""
        self._renewable = True
        self._known = False
        """Whether Vault said how long the token lives. Of a given one it is asked only when it is to be kept alive."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"VaultSession({self._vault.addr!r}, {self._login_kind})"

    @property
    def _login_kind(self) -> str:
        return "token" if self._settings.secret_id is None else "AppRole"

    def close(self) -> None:
        """Give back an AppRole's token, as far as Vault can be reached. Idempotent."""
        if self._token is not None and self._settings.secret_id is not None:
            self._forget()
        self._token = None
        self._vault.close()

    # -- reading ---------------------------------------------------------------------------------------

    def read(self, place: Place) -> Secret:
        """What is under the place. Values must be text."""
        # the answer stays in a frame that no traceback shows
        found = self._read(place)
        if isinstance(found, VaultError):
            raise found
        return found

    def _read(self, place: Place) -> Secret | VaultError:
        answer = self._ask(
            lambda vault: vault.secrets.kv.v2.read_secret_version(
                path=place.path,
                mount_point=place.mount,
                version=place.version or None,
                raise_on_deleted_version=True,
            )
        )
        if isinstance(answer, Failure):
            return self._reasons.why(answer, place, f"{place.mount}/data/{place.path}")
        data = table(answer, "data")
        values, metadata = table(data, "data"), table(data, "metadata")
        wrong = sorted(str(key) for key, value in values.items() if not isinstance(value, str))
        if wrong:
            which = ", ".join(wrong)
            return VaultError("content", f"{place} in Vault: {which} must be text; write numbers in quotes too")
        return Secret(HiddenValues(values), whole(metadata.get("version")), str(metadata.get("created_time", "")))

    def versions(self, place: Place) -> list[Version]:
        """All versions that Vault still knows, the newest first. Needs the right to read the metadata."""
        answer = self._ask(
            lambda vault: vault.secrets.kv.v2.read_secret_metadata(path=place.path, mount_point=place.mount)
        )
        if isinstance(answer, Failure):
            raise self._reasons.why(answer, place, f"{place.mount}/metadata/{place.path}")
        rows = table(table(answer, "data"), "versions")
        found = [
            Version(
                int(number), str(row.get("created_time", "")), bool(row.get("deletion_time") or row.get("destroyed"))
            )
            for number, row in rows.items()
            if number.isdigit() and isinstance(row, Mapping)
        ]
        return sorted(found, key=lambda version: -version.number)

    def _ask(self, call: Any) -> Mapping[str, Any] | Failure:
        """Ask; with an AppRole log in anew, once, when the token turns out to be dead."""
        self._ready()
        answer = self._vault.ask(call)
        dead = isinstance(answer, Failure) and answer.denied and self._settings.secret_id is not None
        if dead and isinstance(self._vault.ask(look_up_self), Failure):
            self._token = None
            self._ready()
            answer = self._vault.ask(call)
        return answer

    # -- login and renewal -----------------------------------------------------------------------------

    def keep_alive(self) -> float:
        """Log in if that is still to do, renew the token if no more than a third of its life is left.

        Returns the seconds after which it should be called again; infinite for a token without end. A given token
        that cannot be renewed is used to its end, with a warning in the log.
        """
        if self._token is None:
            self._log_in()
        if not self._known:
            self.look()
        if self._is_due():
            self._renew()
        left = self._ends - self._clock.monotonic()
        return max(left - self._life_s * _DUE, left / 2, 1.0) if left < math.inf else math.inf

    def look(self) -> float:
        """Ask Vault how long the token lives, in seconds; infinite without end. Raises VaultError for a dead one."""
        if self._token is None:
            self._log_in()
        answer = self._vault.ask(look_up_self)
        if isinstance(answer, Failure):
            raise self._reasons.after_lookup(answer)
        data = table(answer, "data")
        self._lives(whole(data.get("ttl")), renewable=bool(data.get("renewable")))
        if self._ends < math.inf:
            self._life_s = max(self._life_s, float(whole(data.get("creation_ttl"))))
        return self._ends - self._clock.monotonic()

    def _ready(self) -> None:
        if self._token is None:
            self._log_in()
        elif self._is_due():
            self._renew()

    def _is_due(self) -> bool:
        return self._life_s < math.inf and self._ends - self._clock.monotonic() <= self._life_s * _DUE

    def _log_in(self) -> None:
        settings = self._settings
        if settings.secret_id is None:
            self._token = settings.token
            self._vault.use(settings.token or SecretStr(""))
            self._known = False
            return
        self._vault.use(SecretStr(""))
        secret_id = settings.secret_id
        answer = self._vault.ask(
            lambda vault: vault.auth.approle.login(
                role_id=settings.role_id, secret_id=secret_id.get_secret_value(), use_token=False
            )
        )
        if isinstance(answer, Failure):
            raise self._reasons.login_refused(answer)
        auth = table(answer, "auth")
        self._token = SecretStr(str(auth.get("client_token", "")))
        self._vault.use(self._token)
        self._lives(whole(auth.get("lease_duration")), renewable=bool(auth.get("renewable")))

    def _renew(self) -> None:
        if self._renewable and self._renewed():
            return
        if self._settings.secret_id is not None:
            self._forget()
            self._token = None
            self._log_in()
            return
        left = self._ends - self._clock.monotonic()
        if left <= 0:
            raise self._reasons.dead_token()
        _log.warning("the Vault token ends in %.0f s and cannot be renewed; log in again and set VAULT_TOKEN", left)

    def _renewed(self) -> bool:
        """Whether Vault granted another good while."""
        life_s = self._life_s
        # without a wish Vault grants what the last renewal was granted, so a short one would stay short
        answer = self._vault.ask(lambda vault: vault.auth.token.renew_self(increment=f"{life_s:.0f}s"))
        if isinstance(answer, Failure):
            if not answer.denied:
                raise self._reasons.explained(answer, "the renewal of the token")
            return False
        auth = table(answer, "auth")
        self._lives(whole(auth.get("lease_duration")), renewable=bool(auth.get("renewable")))
        # near its longest life Vault grants less and less
        return self._ends - self._clock.monotonic() > life_s * _DUE

    def _forget(self) -> None:
        if isinstance(self._vault.ask(lambda vault: vault.auth.token.revoke_self()), Failure):
            _log.debug("the AppRole's token could not be revoked; it ends by itself")

    def _lives(self, seconds: int, *, renewable: bool) -> None:
        self._known, self._renewable = True, renewable
        self._life_s = float(seconds) if seconds else math.inf
        self._ends = self._clock.monotonic() + self._life_s
