"""What the family's codes and answers say, in words."""

from __future__ import annotations

from typing import Any, Final

DISCONNECTS: Final = {
    0x1001: "reading from the network failed",
    0x1002: "writing to the network failed",
    0x2001: "no heartbeat came from the front",
    0x2002: "sending a heartbeat failed",
    0x2003: "the front sent a broken message",
}
"""The vendor's reasons, from its header file. 8193 is 0x2001; it also follows a burst of subscriptions."""

SENT: Final = {
    -1: "the network connection is not there",
    -2: "too many requests are waiting",
    -3: "too many requests this second",
}
"""What the request functions return when they do not send, from the vendor's header file."""


def failed(info: Any) -> bool:
    """Whether a CThostFtdcRspInfoField reports an error; none at all means success."""
    return info is not None and info.ErrorID != 0


def words(info: Any) -> str:
    """``3 CTP:不合法的登录``; the binding has decoded the vendor's GBK."""
    return f"{info.ErrorID} {info.ErrorMsg}".rstrip()


def disconnect_text(reason: int) -> str:
    """``disconnected: 0x1001 reading from the network failed``."""
    known = DISCONNECTS.get(reason)
    return f"disconnected: {reason:#06x} {known}" if known else f"disconnected: {reason:#06x}"
