# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
MINUTES ?= 10
WORKERS ?= 4
ARGS ?=
# the tests start hundreds of processes, and with this set (container images do so) each compiles all modules anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test lint types imports tests fuzz properties bench soak faults docs dashboards lock clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

setup: $(INSTALLED)  ## everything into .venv/, pinned by requirements.lock

$(INSTALLED): requirements.lock pyproject.toml plugins/ctp/pyproject.toml plugins/sopt/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Feedgate needs Python 3.11 or newer; say which with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { echo "This Python cannot make a virtual environment; on Debian: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . -e plugins/ctp -e plugins/sopt
	@touch $(INSTALLED)

demo: setup  ## two lines of a synthetic market, live in the terminal and in a console; one is killed after 8 s; Ctrl-C ends it
	$(BIN)/runbook demo --kill 8 $(ARGS)

test: lint types imports tests  ## every check

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

tests: setup  ## WORKERS=4 side by side; one after another with WORKERS=0, or ARGS=-n0
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

fuzz: setup  ## random bytes and broken records against every reader, other ones each time
	$(BIN)/python -m pytest -q --hypothesis-profile thorough -k "bytes or garbage or whatever" tests/unit plugins/ctp/tests plugins/sopt/tests $(ARGS)

properties: setup  ## the arbiter's properties, 10,000 examples each
	$(BIN)/python -m pytest -q tests/unit/flow --examples 10000 -k arbiter $(ARGS)

bench: setup  ## the speed table, and bench/out/latest.json
	$(BIN)/python -m bench $(ARGS)

soak: setup  ## MINUTES=10 at 20,000 ticks a second: nothing lost, memory flat
	$(BIN)/python -m bench.soak --minutes $(MINUTES) $(ARGS)

faults: setup  ## real faults against two lines: lost, doubled, noticed, recovered; and bench/out/faults.json
	$(BIN)/python -m tests.faults $(ARGS)

docs: setup  ## the documentation site, into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

dashboards: setup  ## the Grafana dashboards anew, from Python
	$(BIN)/python -m deploy.grafana

lock:  ## resolve the dependencies anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --extra runbook --group test -o requirements.lock pyproject.toml

clean:  ## remove what setup and the checks made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache bench/out bench/build
