"""``python -m deploy.grafana [--check]``: writes the dashboards, or says which file is not what this makes (exit 1)."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana import lines, md_ops

DIRECTORY: Final = Path(__file__).parent / "dashboards"


def documents() -> dict[str, str]:
    """File name → JSON, the same at each call."""
    made = {"md-ops.json": md_ops.build(), "lines-failover.json": lines.build()}
    return {
        name: json.dumps(one.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n" for name, one in made.items()
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.grafana", description="Write the Grafana dashboards.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file differs")
    args = parser.parse_args(argv)
    code = 0
    for name, text in documents().items():
        path = DIRECTORY / name
        if args.check:
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                print(f"{path} is not what the generator makes; run `python -m deploy.grafana`", file=sys.stderr)  # noqa: T201 - this is the command's answer
                code = 1
        else:
            path.write_text(text, encoding="utf-8")
            print(f"{path} written")  # noqa: T201 - this is the command's answer
    return code


if __name__ == "__main__":
    sys.exit(main())
