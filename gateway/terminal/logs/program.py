"""The root logger of a program of ours, while it runs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self

from gateway.terminal.logs.handlers import FileHandler, OffLoop, StreamHandler
from gateway.terminal.logs.text import Mask, TextForm, plain

if TYPE_CHECKING:  # a command that only looks on does not pay for the settings
    from gateway.settings import Settings

Form = Literal["text", "json"]
_MB: Final = 1 << 20


class ProgramLogs:
    """Text on stderr from the start; as the settings say, once they are read.

    As JSON, records go to stdout, and nothing else should: see ``json``. A context manager for the main thread: at
    its end everything that waits is written, and the root logger is as it was.
    """

    def __init__(self, level: str | None, form: Form | None = None, file: Path | None = None) -> None:
        """What somebody typed. None: as the settings say, and until they are read WARNING and text."""
        self.json = form == "json"
        """Whether stdout is for records alone."""
        self._level, self._form, self._path = level, form, file
        self._root = logging.getLogger()
        self._before = self._root.level
        self._handlers: list[logging.Handler] = []

    def __enter__(self) -> Self:
        self._root.setLevel(self._level or logging.WARNING)
        self._add(self._terminal(), off_loop=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()
        self._root.setLevel(self._before)

    def settle(self, settings: Settings) -> None:
        """From now on as the settings say, off the event loop, with their secrets masked. Flags win over them.

        What cannot be written then is told in the log itself, and raises nothing.
        """
        from gateway.settings.masking import Masker  # noqa: PLC0415 - see above
        from gateway.settings.secret_texts import secrets_of  # noqa: PLC0415 - see above

        said, mask = settings.log, Masker(secrets_of(settings)).text
        self.json = (self._form or said.format) == "json"
        labels = labels_of(settings)
        self._drop()
        self._root.setLevel(self._level or said.level)
        terminal = self._terminal()
        terminal.setFormatter(_json(labels, mask) if self.json else TextForm(mask))
        self._add(terminal, off_loop=True)
        if (path := self._path or said.file) is not None:
            into = FileHandler(path, most_bytes=said.most_mb * _MB, days=said.days)
            into.setFormatter(_json(labels, mask))
            self._add(into, off_loop=True)

    def _terminal(self) -> logging.Handler:
        handler = StreamHandler(sys.stdout if self.json else sys.stderr)
        handler.setFormatter(_json({}) if self.json else TextForm())
        return handler

    def _add(self, handler: logging.Handler, *, off_loop: bool) -> None:
        taken = OffLoop(handler) if off_loop else handler
        self._handlers.append(taken)
        self._root.addHandler(taken)

    def _drop(self) -> None:
        for handler in self._handlers:
            self._root.removeHandler(handler)
            handler.close()
        self._handlers.clear()


def labels_of(settings: Settings) -> dict[str, str]:
    """What every record of a gateway carries: its name, its preferred account, masked, and the active feed."""
    name = settings.active
    accounts: Iterable[str] = (
        feed.accounts[name].account(name).masked for feed in settings.feeds.values() if name in feed.accounts
    )
    return {"gateway": settings.name, "config": name, "account": next(iter(accounts), name), "active_feed": name}


def _json(labels: dict[str, str], mask: Mask = plain) -> logging.Formatter:
    from gateway.terminal.logs.structured import JsonForm  # noqa: PLC0415 - structlog is for those who want JSON

    return JsonForm(lambda: labels, mask)
