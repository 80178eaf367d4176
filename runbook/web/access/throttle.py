"""How often somebody may try, or act."""

from __future__ import annotations

from collections import OrderedDict, deque
from ipaddress import IPv6Address, ip_address
from typing import Final

from gateway.clock import Clock

_MINUTE_S: Final = 60.0
_REMEMBERED: Final = 4096


class PerMinute:
    """At most so many events in any minute, for each key. Remembers the latest 4,096 keys: 2 MB at 10 a minute."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, key: str) -> float:
        """Seconds until another one is allowed; 0: now."""
        moments = self._seen.get(key)
        if moments is None:
            return 0.0
        now = self._clock.monotonic()
        while moments and moments[0] <= now - _MINUTE_S:
            moments.popleft()
        return moments[0] + _MINUTE_S - now if len(moments) >= self._limit else 0.0

    def count(self, key: str) -> None:
        """One happened."""
        moments = self._seen.setdefault(key, deque(maxlen=self._limit))
        moments.append(self._clock.monotonic())
        self._seen.move_to_end(key)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)

    def take(self, key: str) -> float:
        """Count one if it is allowed. As :meth:`wait_s`."""
        wait = self.wait_s(key)
        if not wait:
            self.count(key)
        return wait


class Tries:
    """Wrong tokens: so many a minute from one address, ten times as many from all.

    While all together have tried too often, addresses from which somebody got in before still may: whoever guesses
    from many addresses keeps no operator out who is already there.
    """

    def __init__(self, limit: int, clock: Clock) -> None:
        self._each = PerMinute(limit, clock)
        self._all = PerMinute(10 * limit, clock)
        self._known: OrderedDict[str, None] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Seconds until this address may try again; 0: now."""
        place = _place(address)
        wait = self._each.wait_s(place)
        return wait if wait or place in self._known else self._all.wait_s("")

    def failed(self, address: str) -> None:
        """A wrong one."""
        self._each.count(_place(address))
        self._all.count("")

    def succeeded(self, address: str) -> None:
        """A right one."""
        place = _place(address)
        self._known[place] = None
        self._known.move_to_end(place)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


def _place(address: str) -> str:
    """One customer usually has a whole /64 of IPv6."""
    try:
        found = ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return found.exploded[:19]
    return str(found)
