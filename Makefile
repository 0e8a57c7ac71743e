# `make help` lists the targets. Variables: VENV, PYTHON, PORT, ARGS (for pytest).
VENV ?= .venv
PYTHON ?= python3
PORT ?= 5000
RESULTS ?= results
ARGS ?=
export PATH := $(abspath $(VENV))/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help table1 test ui venv lint

help: ## list the targets
	@sed -nE 's/^([a-z0-9]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

table1: venv ## run the whole workflow and print Table 1
	snakemake --cores all $(RESULTS)/table1.csv
	@cat $(RESULTS)/table1.md

test: venv ## run the tests
	python -m pytest $(ARGS)

ui: venv ## MLflow's pages over everything run so far, on http://127.0.0.1:$(PORT)
	searchr2 sync --results $(RESULTS)
	mlflow ui --host 127.0.0.1 --port $(PORT) --backend-store-uri sqlite:///$(RESULTS)/mlflow.db

venv: $(VENV)/installed ## make the environment and nothing else

$(VENV)/installed: requirements.txt requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "needs Python 3.11: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	python -m pip install --requirement requirements-dev.txt
	python -m pip install --no-deps --editable .
	touch $@

lint: venv ## what is checked before a commit
	ruff check
	ruff format --check
	mypy
	snakefmt --check Snakefile workflow
	snakemake --lint
