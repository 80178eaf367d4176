"""What every secret store promises, as tests. Subclass it in a plugin's tests; it needs pytest.

class TestAcmeStore(SecretStoreContract):
    place = AcmePlace
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from gateway.testing.feed_contract import ask
from gateway.testing.secret_cards import SECRET_CARDS, SecretPlace


class SecretStoreContract:
    """The promises. Set :attr:`place`."""

    place: ClassVar[Callable[[], SecretPlace]]
    """The class of the place, or whatever makes a new one."""

    def _ask(self, number: str) -> None:
        __tracebackhide__ = True
        ask(SECRET_CARDS, number, type(self).place)

    def test_secret_01_a_path_gives_every_key_as_text(self) -> None:
        self._ask("SECRET-01")

    def test_secret_02_a_path_where_nothing_is_is_refused(self) -> None:
        self._ask("SECRET-02")

    def test_secret_03_no_value_is_in_a_repr_or_an_error(self) -> None:
        self._ask("SECRET-03")

    def test_secret_04_a_changed_secret_is_read_anew(self) -> None:
        self._ask("SECRET-04")

    def test_secret_05_a_place_that_cannot_be_reached_is_an_error_not_a_wait(self) -> None:
        self._ask("SECRET-05")
