"""``python -m runbook.notify.deliver``: hands one message to the addresses, in a process of its own.

Of its own for three reasons: a hanging address can be killed; the libraries that send write addresses into their debug
logs, and here nobody reads those; and addresses travel through a pipe, not through arguments or the environment.

Standard input: one JSON object ``{"urls": [...], "title": ..., "text": ..., "severity": ..., "timeout_s": ...}``.
Standard output: ``{"ready": true}`` once it can send, then ``{"number": N, "error": "..."}`` for each address, from 1,
in the order in which they end. No answer holds anything of an address.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from apprise import Apprise, AppriseAsset, NotifyType

_CODE: Final = re.compile(r"\berror=(\d{3})\b")
_AT_ONCE: Final = 16


class _Codes(logging.Handler):
    """Keeps the HTTP status of a failure, by thread, and nothing else of what the libraries say."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.found: dict[int, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        match = _CODE.search(record.getMessage())
        if match:
            self.found[threading.get_ident()] = match[1]


def _usable(url: str, timeout_s: float) -> Any:
    """What sends to an address; None when it is none. A plain web address gets the message as JSON."""
    asset = AppriseAsset(app_id="Feedgate", async_mode=False, secure_logging=True)
    target = Apprise.instantiate(url, asset=asset)
    scheme, mark, rest = url.partition("://")
    if target is None and scheme.lower() in ("http", "https"):
        target = Apprise.instantiate(f"json{'s' if scheme.lower() == 'https' else ''}{mark}{rest}", asset=asset)
    if target is not None:
        target.socket_connect_timeout = target.socket_read_timeout = timeout_s
    return target


def _send(url: str, message: dict[str, Any], codes: _Codes) -> str:
    """What went wrong; empty: it was taken."""
    try:
        target = _usable(url, float(message["timeout_s"]))
        if target is None:
            return "is not an address that can be used; write it as apprise does"
        codes.found.pop(threading.get_ident(), None)
        kind = NotifyType(message["severity"])
        if target.notify(body=message["text"], title=message["title"], notify_type=kind):
            return ""
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises; its text may hold the address
        return f"failed ({type(error).__name__})"
    code = codes.found.pop(threading.get_ident(), "")
    return f"refused the message (HTTP {code})" if code else "could not be reached, or refused the message"


def main() -> int:
    """Answer for every address. Exit code 0 when it could answer at all."""
    codes = _Codes()
    root = logging.getLogger()
    root.addHandler(codes)
    root.setLevel(logging.WARNING)
    message = json.loads(sys.stdin.buffer.readline())
    lock = threading.Lock()

    def say(value: dict[str, Any]) -> None:
        with lock:
            sys.stdout.write(json.dumps(value) + "\n")
            sys.stdout.flush()

    def one(number: int, url: str) -> None:
        say({"number": number, "error": _send(url, message, codes)})

    say({"ready": True})
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for number, url in enumerate(message["urls"], 1):
            threads.submit(one, number, url)
    return 0


if __name__ == "__main__":
    sys.exit(main())
