"""Plugins that only watch. A raising observer is logged, counted and never stops the gateway."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from gateway.hookspecs import Observer
from gateway.model import LineId

_log = logging.getLogger(__name__)


class Observers:
    """All observers of a gateway. Called on the loop."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers
        self.failures: Counter[str] = Counter()
        """Raised calls by observer."""

    def line_changed(self, line: LineId, state: str, reason: str) -> None:
        """A line changed its state."""
        for observer in self._observers:
            if observer.line_changed is not None:
                try:
                    observer.line_changed(line, state, reason)
                except Exception:  # noqa: BLE001 - a plugin's bug is its own; it is logged with its traceback
                    self._failed(observer)

    def warned(self, event: str, fields: Mapping[str, object]) -> None:
        """Something that an operator should know."""
        for observer in self._observers:
            if observer.warned is not None:
                try:
                    observer.warned(event, fields)
                except Exception:  # noqa: BLE001 - as above
                    self._failed(observer)

    def _failed(self, observer: Observer) -> None:
        self.failures[observer.name] += 1
        _log.exception("observer %s raised", observer.name)
