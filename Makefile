# Variables: VENV, PYTHON, RESULTS, PORT, ARGS (for pytest).
VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || echo python3)
PORT ?= 5000
RESULTS ?= results
ARGS ?=
BIN := $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help table1 test ui venv lint

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

table1: venv ## run the whole workflow and print Table 1
	$(BIN)/snakemake --cores all $(RESULTS)/table1.csv
	@cat $(RESULTS)/table1.md

test: venv ## run the tests
	$(BIN)/python -m pytest $(ARGS)

ui: venv ## MLflow's pages over all runs so far, on port 5000 of this machine
	$(BIN)/searchr2 ui --results $(RESULTS) --port $(PORT)

venv: $(VENV)/installed ## make the environment and nothing else

$(VENV)/installed: requirements.txt requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "needs Python 3.11: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --requirement requirements-dev.txt
	$(BIN)/python -m pip install --no-deps --editable .
	touch $@

lint: venv ## what is checked before a commit
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
