"""The view: the snapshot once a second, with keys. The only module that knows Textual."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Final

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from gateway.errors import FeedgateError
from gateway.terminal.top.export import export
from gateway.terminal.top.facts import STALE_S, Facts
from gateway.terminal.top.look import Look
from gateway.terminal.top.telling import facts_of
from gateway.terminal.top.text import SIGNS, cards, details, head, says

_EVERY_S: Final = 1.0
_MARGIN: Final = 1
"""Columns of the scroll bar."""

HELP: Final = f"""\
q  quit                p  coverage by product or by exchange
e  export to a file    ?  this help; any of ? Esc q closes it
↑ ↓ PgUp PgDn Home End scroll

{SIGNS["good"]} good      {SIGNS["warning"]} warning     {SIGNS["critical"]} critical
{SIGNS["neutral"]} neutral: the market is closed, or nothing to judge
{SIGNS["stale"]} stale: older than {STALE_S:.0f} s, what was known last is shown

Times are Shanghai's. Rates are of the last 5 s.
first: share of ticks that a line brought first.
e writes gateway-top_DATE_TIME.txt where you started this."""


class HelpScreen(ModalScreen[None]):
    """Keys and signs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss_help", "close"),
    ]
    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    #help { width: auto; max-width: 100%; height: auto; padding: 1 2; background: #1e293b; border: round #38bdf8; }
    """

    def compose(self) -> ComposeResult:
        yield Static(HELP, id="help", markup=False)

    def action_dismiss_help(self) -> None:
        self.dismiss()


class TopApp(App[None]):
    """Shows what ``look`` returns, each second, until it is told to quit. Asks nobody itself."""

    ENABLE_COMMAND_PALETTE = False
    TITLE = "gateway top"
    CSS = """
    Screen { background: #0f172a; color: #e2e8f0; }
    #head, #says, #cards { height: auto; }
    #head { color: #38bdf8; height: 1; }
    #cards { margin: 1 0 0 0; }
    #rest { height: 1fr; scrollbar-size-vertical: 1; }
    #rest:focus { background: #0f172a; }
    #details { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", "quit", show=False, priority=True),
        Binding("p", "products", "products"),
        Binding("e", "export", "export"),
        Binding("question_mark", "help", "help", key_display="?"),
    ]

    def __init__(self, look: Callable[[], Look], *, directory: Path | None = None) -> None:
        """``directory``: where exports go; None: the current one."""
        super().__init__()
        self._look = look
        self._directory = directory or Path()
        self._products = False
        self._facts: Facts | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield Static(id="says")
        yield Static(id="cards")
        with VerticalScroll(id="rest"):
            yield Static(id="details")
        yield Footer()

    def on_mount(self) -> None:
        self.query_one("#rest").focus()
        self.show()
        self.set_interval(_EVERY_S, self.show)

    def on_resize(self) -> None:
        self.show()

    def show(self) -> None:
        """Look, and draw what is known now."""
        facts = self._facts = facts_of(self._look())
        width = max(self.size.width - _MARGIN, 40)
        base = self.screen_stack[0]  # the help may lie over it
        base.query_one("#head", Static).update(head(facts))
        base.query_one("#says", Static).update(says(facts))
        base.query_one("#cards", Static).update(cards(facts, width))
        base.query_one("#details", Static).update(details(facts, width, products=self._products))

    def action_products(self) -> None:
        self._products = not self._products
        self.show()

    def action_help(self) -> None:
        self.push_screen(HelpScreen())

    async def action_export(self) -> None:
        facts = facts_of(self._look())
        path = self._directory / f"gateway-top_{datetime.fromisoformat(facts.at):%Y%m%d_%H%M%S}.txt"
        try:
            await asyncio.to_thread(export, facts, path)
        except FeedgateError as error:
            self.notify(str(error), severity="error", markup=False)
        else:
            self.notify(f"written to {path}", markup=False)
