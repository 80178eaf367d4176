"""Addresses: whose machine may reach what, and what a path may be."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(host: str) -> bool:
    """Whether an address, or a name to listen on, is this machine alone. Other names are not looked up."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_elsewhere(address: str) -> bool:
    """Whether a client's address is another machine's. What is no IP address (a Unix socket) is of this machine."""
    try:
        return not ip_address(address).is_loopback
    except ValueError:
        return False


def host_name(header: str) -> str:
    """``Host`` without its port, in lower case; empty for one that cannot be."""
    text = header.strip().lower()
    if text.startswith("["):
        name, bracket, rest = text[1:].partition("]")
        return name if bracket and (not rest or _is_port(rest)) else ""
    name, colon, port = text.partition(":")
    return name.removesuffix(".") if not colon or _is_port(f":{port}") else ""


def local_path(text: str) -> str:
    """Where to go back to: a path of this console, never another host's address."""
    if not text.startswith("/") or text.startswith(("//", "/\\")) or any(ord(one) < ord(" ") for one in text):
        return "/"
    return text


def _is_port(text: str) -> bool:
    return text[:1] == ":" and text[1:].isascii() and (text[1:].isdecimal() or not text[1:])
