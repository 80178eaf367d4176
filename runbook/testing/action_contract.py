"""What every runbook action promises, as tests. Subclass it in a plugin's tests; it needs pytest.

class TestRestartTheSun(ActionContract):
    case = RestartTheSun
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from gateway.testing.feed_contract import ask
from runbook.testing.action_cards import ACTION_CARDS, ActionCase


class ActionContract:
    """The promises. Set :attr:`case`."""

    case: ClassVar[Callable[[], ActionCase]]
    """The class of the case, or whatever makes a new one."""

    def _ask(self, number: str) -> None:
        __tracebackhide__ = True
        ask(ACTION_CARDS, number, type(self).case)

    def test_action_01_the_runbook_takes_it_and_every_parameter_is_described(self) -> None:
        self._ask("ACTION-01")

    def test_action_02_an_unknown_parameter_is_refused_by_its_name(self) -> None:
        self._ask("ACTION-02")

    def test_action_03_each_run_has_an_object_of_its_own(self) -> None:
        self._ask("ACTION-03")

    def test_action_04_it_ends_with_a_known_exit_code_and_words(self) -> None:
        self._ask("ACTION-04")

    def test_action_05_a_dry_run_changes_nothing(self) -> None:
        self._ask("ACTION-05")

    def test_action_06_no_secret_is_in_what_it_says(self) -> None:
        self._ask("ACTION-06")

    def test_action_07_it_leaves_nothing_behind(self) -> None:
        self._ask("ACTION-07")
