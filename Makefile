# Everything a developer does here. `make` lists it.

PYTHON  ?= python3
VENV    ?= .venv
WORKERS ?= 2
# More arguments for pytest: make test ARGS="-k retry"
ARGS    ?=

BIN     := $(VENV)/bin
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet

# A stamp is newer than pyproject.toml while what it stands for is installed as that file says.
MADE    := $(VENV)/.made
RUNS    := $(VENV)/.runs
TESTS   := $(VENV)/.tests
CHECKS  := $(VENV)/.checks

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL: # two pips in one environment get in each other's way
.PHONY: help setup demo test test-all unit check format bench mutants torture clean server

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(TESTS) $(CHECKS) server ## Prepare everything that test and check need

demo: $(RUNS) ## Show kjobs at work, with no Kafka to install
	@$(BIN)/kjobs demo

test: $(TESTS) server ## Run all tests, on a real Kafka and Redis where they need one
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

unit: $(TESTS) ## Run the tests that need no Kafka and no Redis
	$(BIN)/python -m pytest -n $(WORKERS) -m "not kafka and not redis" $(ARGS)

test-all: $(MADE) ## Run the tests that need no server on every Python found
	@$(BIN)/python -m tools.interpreters

check: $(TESTS) $(CHECKS) ## Check format, style, layers and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/mypy tests/typing
	$(BIN)/basedpyright --pythonpath $(BIN)/python tests/typing

format: $(CHECKS) ## Format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(TESTS) server ## Measure speed and latency
	$(BIN)/python -m benchmarks $(ARGS)

mutants: $(TESTS) ## Break the code in known ways and see that a test notices
	$(BIN)/python -m tests.proof.mutants $(ARGS)

torture: $(TESTS) server ## Break everything around kjobs by a seeded plan, and judge (ARGS="--help")
	$(BIN)/python -m tests.torture $(ARGS)

clean: ## Remove what make made: environments, caches, Kafka's jars
	rm -rf .venv .venv-* .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Java, Maven and Redis if they are missing and may be installed, Kafka's jars once.
server: $(TESTS)
	@$(BIN)/python -m tests.servers.setup

$(MADE):
	@python=$$(sh tools/python.sh $(PYTHON)) && "$$python" -m tools.venv $(VENV)
	@touch $@

$(RUNS): pyproject.toml | $(MADE)
	@echo "Installing kjobs into $(VENV) ..."
	@$(INSTALL) --editable .
	@touch $@

$(TESTS): pyproject.toml | $(RUNS)
	@echo "Installing the tests' packages into $(VENV) ..."
	@$(INSTALL) --group test
	@touch $@

$(CHECKS): pyproject.toml | $(RUNS)
	@echo "Installing linters and type checkers into $(VENV) ..."
	@$(INSTALL) --group lint --group types
	@touch $@
