"""Becomes another program that dies with its parent. Started as a file with ``python -I -S``; imports nothing of ours.

Arguments: the parent's process id, then the program and its arguments. On Linux the kernel sends SIGKILL to the program
when its parent ends in whatever way, SIGKILL of the parent included; the setting survives ``exec``, and the second look
at the parent closes the gap before it was made. Elsewhere only an orderly end of the parent ends the program.
"""

import os
import sys

PR_SET_PDEATHSIG = 1
SIGKILL = 9


def main() -> None:
    """Never returns."""
    parent, program = int(sys.argv[1]), sys.argv[2]
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - may be missing elsewhere

        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0):
            sys.exit(f"prctl(PR_SET_PDEATHSIG) failed: errno {ctypes.get_errno()}")
    if os.getppid() != parent:
        sys.exit("the supervisor is gone")
    os.execve(program, sys.argv[2:], os.environ)  # noqa: S606 - handed through as it is


if __name__ == "__main__":
    main()
