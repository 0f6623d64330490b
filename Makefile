# Everything a contributor or a CI machine runs. `make help` lists the targets.
# Needs Python 3.11 or newer and make; all else comes from the locked, hashed requirements files.

SHELL := /bin/sh
.SHELLFLAGS := -euc
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
UV ?= uv
WORKERS ?= 4
ARGS ?=

# Programs that are started keep what they compile: else each compiles all of our modules anew.
unexport PYTHONDONTWRITEBYTECODE

BIN := $(VENV)/bin
PACKAGES := gateway partners schemas audit
CODE := $(PACKAGES) tests examples $(wildcard bench)
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

# Two stamps: editing pyproject.toml re-links the program in seconds without a look at the locked packages.
LOCKED := $(VENV)/.locked
LINKED := $(VENV)/.linked

.PHONY: help setup format check check-form check-types check-house test demo demo-kafka soak faults fuzz bench audit lock clean

help: ## list the targets
	@echo "make TARGET [PYTHON=python3.13 VENV=.venv-3.13] [ARGS=...]"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)$$/  \1|\2/p' Makefile | awk -F'|' '{printf "%-11s %s\n", $$1, $$2}'

setup: $(LINKED) ## make the virtual environment from the lock and install the gateway command into it

$(LOCKED): requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: $(PYTHON) is missing or older than Python 3.11; name another one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "make: $(PYTHON) cannot make virtual environments; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "installing the locked packages into $(VENV) (once, about a minute)"
	@$(PIP) install --quiet --require-hashes -r requirements-dev.txt
	@touch $@

$(LINKED): $(LOCKED) pyproject.toml
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

format: $(LINKED) ## format the code and mend what ruff can mend
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

check: check-form check-types check-house ## formatting, lint, types, layers and the house tests (in parallel: -j2); changes nothing

check-form: $(LINKED)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)

check-types: $(LINKED)
	$(BIN)/mypy
	$(BIN)/mypy examples

check-house: $(LINKED)
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -q tests/house

test: $(LINKED) ## run the tests: make test WORKERS=0 ARGS="tests/unit -k claim"
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

demo: $(LINKED) ## two partners, real data, webhooks, proofs and a kill, in about a minute
	$(BIN)/gateway demo $(ARGS)

demo-kafka: $(LINKED) ## the same on a real Kafka and PostgreSQL, each role a process (needs Java 17, Maven, PostgreSQL)
	$(BIN)/python -m tests.demo_on_kafka $(ARGS)

soak: $(LINKED) ## 100,000 events through two of each role while parts are killed and paused; the report is in .cache/soak
	$(BIN)/python -m tests.soak $(ARGS)

faults: $(LINKED) ## each system call of an append fails or kills it (needs strace), then kills at every step, in 12 orders: make faults ARGS="--every 10"
	$(BIN)/python -m tests.faults.syscalls $(ARGS)
	KILL_SEEDS=12 $(BIN)/python -m pytest -q tests/faults/test_kills.py

fuzz: $(LINKED) ## feed every reader of bytes from outside for ten minutes: make fuzz ARGS="--seconds 60 --only json"
	$(BIN)/python -m tests.fuzz $(ARGS)
	FUZZ_EXAMPLES=60 $(BIN)/python -m pytest -q tests/acceptance/test_described_api.py

bench: $(LINKED) ## figures beside bare parts, into bench/RESULTS.md (ARGS=--quick: smaller, to try it)
	$(BIN)/python -m bench $(ARGS)

audit: $(LINKED) ## bill of materials (.cache/sbom.cdx.json), lock against environment, known vulnerabilities: make audit AUDIT_DB=DIR
	$(BIN)/python -m tests.supply_chain $(if $(AUDIT_DB),--database "$(AUDIT_DB)") $(ARGS)

# The resolver runs for every platform and for the oldest supported Python, so that one lock serves all machines.
# Neither the header nor an index address is written: the lock says what, the machine's own pip settings say from where.
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --extra build

lock: ## write both requirements files anew from pyproject.toml (needs uv; ARGS=--upgrade for newer versions)
	@command -v $(UV) >/dev/null || { echo "make: uv is missing; install it, or name it: make lock UV=/path/to/uv" >&2; exit 1; }
	$(LOCK) $(ARGS) pyproject.toml -o requirements.txt
	$(LOCK) $(ARGS) --extra dev pyproject.toml -o requirements-dev.txt

clean: ## remove the environment and every cache (never gateway-data)
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
