"""For programs that own their process (``gateway run``, the benchmark); a library must not do this to its host."""

from __future__ import annotations

import gc


def settle() -> None:
    """Collect once, then leave what exists now out of later collections.

    A full collection of a running gateway takes 16 to 31 ms, in which no tick moves; what was made by the start
    (modules, settings, contracts) lives as long as the process anyway.
    """
    gc.collect()
    gc.freeze()
    # ticks make many short-lived tuples and no cycles: looking for cycles every 700 of them is wasted work
    gc.set_threshold(50_000, 20, 100)
