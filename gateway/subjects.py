"""Names on the bus, and the patterns that people write for instruments.

A NATS subject is made of tokens between dots; ``*``, ``>``, white space and control characters mean something
else there. Exchanges do use such characters (``SP a2105&a2109`` is a DCE spread), so a token is percent-encoded
where it must be, and only there: ``SHFE``/``rb2510`` stay as they are.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import unquote

from gateway.model import Instrument

TICKS = "md.tick"
"""First tokens of the subjects of single ticks."""
BATCHES = "md.batch"
"""First tokens of the subjects of batches."""
EVENTS = "md.event"
"""First tokens of the subjects of events."""
CONTROL = "md.ctl"
"""First tokens of the subjects of requests."""

_UNSAFE = re.compile(r"[^!-~]|[%.*>]")
_GLOB = re.compile(r"[*?\[]")


def token(text: str) -> str:
    """One subject token for any text but the empty one. Injective: :func:`untoken` gives the text back."""
    if not text:
        raise ValueError("an empty name cannot be a subject token")
    return _UNSAFE.sub(lambda m: "".join(f"%{byte:02X}" for byte in m[0].encode("utf-8", "surrogatepass")), text)


def untoken(text: str) -> str:
    """The text that :func:`token` encoded."""
    return unquote(text, errors="surrogatepass")


def tick_subject(instrument: Instrument) -> str:
    """The subject of an instrument's ticks: ``md.tick.SHFE.rb2510``."""
    return f"{TICKS}.{token(instrument.exchange)}.{token(instrument.code)}"


def batch_subject(feed: str) -> str:
    """``md.batch.ctp``: many ticks of one feed in one message, for bulk consumers."""
    return f"{BATCHES}.{token(feed)}"


def control_subject(endpoint: str, feed_set: str = "feedgate") -> str:
    """``md.ctl.feedgate.last``: the gateway's name lets several gateways share one server."""
    return f"{CONTROL}.{token(feed_set)}.{endpoint}"


def instrument_of(subject: str) -> Instrument:
    """The instrument of a tick subject. Raises ValueError for any other subject."""
    head, _, rest = subject.partition(TICKS + ".")
    tokens = rest.split(".")
    if head or len(tokens) != 2 or not all(tokens):  # noqa: PLR2004 - exchange and code
        raise ValueError(f"{subject!r} is not a tick subject ({TICKS}.EXCHANGE.CODE)")
    return Instrument(untoken(tokens[0]), untoken(tokens[1]))


def subscription_subject(pattern: str) -> str:
    """The narrowest NATS subject that covers an instrument pattern: ``SHFE.rb*`` → ``md.tick.SHFE.*``.

    Patterns are shell globs over ``EXCHANGE.CODE``; a bare ``*`` is everything. What the subject lets through
    beyond the pattern, :func:`matcher` sorts out at the consumer.
    """
    exchange, dot, code = pattern.partition(".")
    if not dot and _GLOB.search(exchange):
        return f"{TICKS}.*.*"
    if not (exchange and code):
        raise ValueError(f"{pattern!r} is not an instrument pattern; write EXCHANGE.CODE, for example SHFE.rb*")
    exchange_token = "*" if _GLOB.search(exchange) else token(exchange)
    code_token = "*" if _GLOB.search(code) else token(code)
    return f"{TICKS}.{exchange_token}.{code_token}"


@lru_cache(maxsize=1024)
def matcher(pattern: str) -> Callable[[str], bool]:
    """A predicate over ``EXCHANGE.CODE`` texts. Case counts: CZCE writes ``TA``, SHFE writes ``rb``.

    The first dot parts exchange and code, in the pattern as in the text: ``*.1`` is not about ``SHFE.a.1``. That is
    what subjects can express, so whatever matches also comes through :func:`subscription_subject`.
    """
    exchange_pattern, dot, code_pattern = pattern.partition(".")
    exchange = re.compile(fnmatch.translate(exchange_pattern)).match
    if not dot:
        return lambda text: exchange(text) is not None
    code = re.compile(fnmatch.translate(code_pattern)).match

    def matches(text: str) -> bool:
        left, _, right = text.partition(".")
        return exchange(left) is not None and code(right) is not None

    return matches
