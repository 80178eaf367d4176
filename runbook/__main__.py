"""``python -m runbook``: the same as the command ``runbook``."""

import gc

gc.set_threshold(50_000, 20, 100)  # a tenth of a short command went into looking for garbage among its imports

import sys  # noqa: E402 - after the line above, or it has no effect

from runbook.cli import main  # noqa: E402 - likewise

if __name__ == "__main__":
    sys.exit(main())
