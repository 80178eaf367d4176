"""What every contract list promises, as tests. Subclass it in a plugin's tests; it needs pytest.

class TestAcmeList(CatalogueContract):
    place = AcmeList
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from gateway.testing.catalogue_cards import CATALOGUE_CARDS, CataloguePlace
from gateway.testing.feed_contract import ask


class CatalogueContract:
    """The promises. Set :attr:`place`."""

    place: ClassVar[Callable[[], CataloguePlace]]
    """The class of the place, or whatever makes a new one."""

    def _ask(self, number: str) -> None:
        __tracebackhide__ = True
        ask(CATALOGUE_CARDS, number, type(self).place)

    def test_catalogue_01_every_contract_is_named_once_and_sound(self) -> None:
        self._ask("CATALOGUE-01")

    def test_catalogue_02_asked_twice_it_gives_the_same_and_leaves_nothing(self) -> None:
        self._ask("CATALOGUE-02")

    def test_catalogue_03_a_list_that_cannot_be_had_is_an_error_without_secrets(self) -> None:
        self._ask("CATALOGUE-03")
