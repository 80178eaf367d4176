"""Whether a request comes from our own pages, from no page at all, or from somebody else's page."""

from __future__ import annotations

from collections.abc import Container
from typing import Final, Literal

Whence = Literal["own", "none", "allowed", "foreign"]
"""``none``: no browser, or somebody typed the address. ``allowed``: another page that the settings name."""

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS: Final = {"http": ":80", "https": ":443"}


def whence(*, scheme: str, host: str, origin: str | None, fetch_site: str | None, allowed: Container[str]) -> Whence:
    """By ``Sec-Fetch-Site``, which pages cannot forge, and where a browser does not send it by ``Origin``.

    Browsers leave ``Sec-Fetch-Site`` out on plain http to other machines, but send ``Origin`` with every POST.
    """
    if fetch_site == "same-origin":
        return "own"
    if origin is None:
        # fetch_site "none": typed, or from a bookmark; without both: no browser
        return "none" if fetch_site in (None, "none") else "foreign"
    if fetch_site is None and _bare(origin) == _bare(f"{scheme}://{host}"):
        return "own"
    if fetch_site == "none":
        return "none"
    return "allowed" if origin in allowed else "foreign"


def _bare(origin: str) -> str:
    """Without the scheme's own port."""
    lower = origin.lower()
    scheme = lower.partition("://")[0]
    return lower.removesuffix(_PORTS.get(scheme, ""))
