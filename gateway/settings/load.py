"""Reads the settings of a process from where operators keep them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from gateway.errors import SettingsError
from gateway.settings import explain, sources
from gateway.settings.layers import nested, stack
from gateway.settings.values import Settings


def load_settings(
    config: Path | None = None,
    env_files: Sequence[Path] = (),
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from the environment, then ``.env`` files (a later one wins), then a TOML file, then defaults.

    ``environ`` stands in for the process's environment. Blocks on reading the files. Raises SettingsError with a
    finding for everything that is wrong, each naming the variable or key as it was written; no finding, and no
    exception chained to it, holds a value. A file that holds secrets and is open to other users is logged as a warning.
    """
    layers = [sources.environment(environ)]
    layers += [sources.env_file(path) for path in reversed(env_files)]
    if config is not None:
        layers.append(sources.toml_file(config))
    findings = [finding for layer in layers for finding in layer.findings]
    given = stack(layers)
    values, clashes = nested(given)
    findings += clashes
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(values)
    except ValidationError as refused:
        findings += explain.refusals(refused, given)
    findings += explain.disagreements(values, given)
    if settings is None or findings:
        # Raised outside the except block: a chained ValidationError would carry the values.
        raise SettingsError(list(dict.fromkeys(findings)) or ["settings: do not fit together; see docs/settings.md"])
    return settings
