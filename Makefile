# `make` lists what there is. Everything is installed into .venv. Outside this folder only these are written: downloaded
# weights (~/.deepface), converted networks (~/.cache/facewire) and pip's own cache (docs/privacy.md lists them all).

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PORT ?= 5050
WEB_PORT ?= 8000
DB ?= data/facialdb.db

.DEFAULT_GOAL := help
.PHONY: help setup demo web serve test lint format bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 is needed: install it, or make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 is needed; $(PYTHON) is older" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serving: requirements.txt | $(BIN)/python
	@echo "installing what facewire is served with (about 2 GB with TensorFlow; a minute or two, once)"
	$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.web: requirements-web.txt $(VENV)/.serving
	$(PIP) -r requirements-web.txt
	@touch $@

$(VENV)/.testing: requirements-dev.txt requirements-offline.txt $(VENV)/.serving $(VENV)/.web
	$(PIP) -r requirements-dev.txt -r requirements-offline.txt
	@touch $@

setup: $(VENV)/.serving ## create .venv and install what is needed to serve

demo: $(VENV)/.serving ## the main job, from nothing: sample gallery, real server, real clients, names and emotions
	$(BIN)/python scripts/demo.py

web: $(VENV)/.web ## server and web page: DB if it is there, else the synthetic people; then open localhost:WEB_PORT (8000)
	$(BIN)/python scripts/web.py --db $(DB) --port $(WEB_PORT)

serve: $(VENV)/.serving ## serve DB (default data/facialdb.db) on PORT (default 5050)
	$(BIN)/python server_app.py --port $(PORT) --db $(DB)

test: $(VENV)/.testing ## run the tests
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.testing ## ruff (lint and format) and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.testing ## let ruff format and mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/.benching: requirements-bench.txt $(VENV)/.serving
	$(PIP) -r requirements-bench.txt
	@touch $@

bench: $(VENV)/.benching ## how fast: beside DeepFace, FAISS and the bare network, in one run (ARGS="--quick", "--only start")
	test -f data/demo.db || $(BIN)/python scripts/create_db.py data/sample/people --db data/demo.db
	$(BIN)/python scripts/benchmark.py $(ARGS)

clean: ## remove .venv, caches and the databases in data/
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf data/*.db data/*.db-* data/*.skipped.txt data/demo data/demo.log data/web.log data/*.albums
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
