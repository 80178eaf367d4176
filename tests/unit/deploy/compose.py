"""docker-compose.yml and Dockerfile, read."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from tests.docs.documents import ROOT

COMPOSE: Final = ROOT / "docker-compose.yml"
DOCKERFILE: Final = ROOT / "Dockerfile"
PROFILES: Final = ("dev", "live", "test")
_VARIABLE: Final = re.compile(r"\$\{([A-Z_]+):-([^}]*)\}")


def filled(text: str) -> str:
    """With the defaults of its variables."""
    return _VARIABLE.sub(lambda match: match[2], text)


@cache
def compose() -> dict[str, Any]:
    """The whole file."""
    read: dict[str, Any] = yaml.safe_load(filled(COMPOSE.read_text(encoding="utf-8")))
    return read


def services(profile: str | None = None) -> dict[str, dict[str, Any]]:
    """Name → service; those of one profile, or all."""
    every: dict[str, dict[str, Any]] = compose()["services"]
    return {name: one for name, one in every.items() if profile is None or profile in one["profiles"]}


def ours(service: dict[str, Any]) -> bool:
    """Whether it runs from our image."""
    return bool(str(service["image"]).startswith("feedgate:"))


def aliases(name: str, service: dict[str, Any]) -> set[str]:
    """What it is called on the network."""
    networks = service["networks"]
    extra = networks["feedgate"].get("aliases", []) if isinstance(networks, dict) else []
    return {name, *extra}


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Path in the container → source, of volumes and secrets (as ``secret:NAME``)."""
    found = {}
    for volume in service.get("volumes", []):
        source, target, *_ = volume.split(":")
        found[target] = source
    for secret in service.get("secrets", []):
        name = secret if isinstance(secret, str) else secret["source"]
        found[f"/run/secrets/{name}" if isinstance(secret, str) else secret["target"]] = f"secret:{name}"
    return found


def instructions(path: Path = DOCKERFILE) -> list[tuple[str, str]]:
    """Of a Dockerfile: word and the rest, continued lines joined."""
    text = re.sub(r"\\\n", " ", path.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def words(rest: str) -> list[str]:
    """Of an instruction's arguments."""
    return shlex.split(rest)
