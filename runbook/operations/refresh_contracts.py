#!/usr/bin/env python3
"""The same as ``runbook refresh-contracts``: same flags, same exit codes."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    hand_on = Path(__file__).resolve().parent / "hand_on.sh"
    os.execv("/bin/sh", ["sh", str(hand_on), "refresh-contracts", *sys.argv[1:]])  # noqa: S606 - becomes the command, no shell text
