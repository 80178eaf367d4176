"""No core files: they would hold every secret that the process knew."""

from __future__ import annotations

import ctypes
import resource
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def forbid_core_files() -> None:
    """None of this process, and none of the children that it starts from now on: they inherit the limit.

    On Linux this process is also closed to others of the same user who would look into its memory or environment. A
    child that runs another program is not, and a collector in ``core_pattern`` (a pipe) may still take a child's core.
    """
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
