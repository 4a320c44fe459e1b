# `make` lists what there is. Everything is installed into .venv. Outside this folder only these are written: downloaded
# weights (~/.deepface), converted networks (~/.cache/facewire) and pip's own cache (docs/privacy.md lists them all).

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
PORT ?= 5050
WEB_PORT ?= 8000
DB ?= data/facialdb.db

# FaceNet's weights as .h5 are read by TensorFlow, which takes 2 GB: installed where such weights are here and none as
# .onnx, and where it is asked for (TENSORFLOW=1; TENSORFLOW=0 says no).
WEIGHTS := $(foreach home,$(or $(DEEPFACE_HOME),$(HOME)) ../shared/deepface,$(wildcard $(home)/.deepface/weights/facenet*_weights.*))
TENSORFLOW ?= $(if $(filter %.onnx,$(WEIGHTS)),,$(filter %.h5,$(WEIGHTS)))
WITH_TENSORFLOW := $(filter-out 0,$(TENSORFLOW))

.DEFAULT_GOAL := help
.PHONY: help setup demo web serve test test-fast test-lab lint format lock bench clean distclean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 is needed: install it, or make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 is needed; $(PYTHON) is older" >&2; exit 1; }
	@$(MAKE_VENV)

# Debian's python3 has no ensurepip: there `python3 -m venv` fails half-way, and leaves a .venv without pip.
NO_VENV = $(PYTHON) -c 'import sys; sys.exit("%s cannot make a virtual environment. On Debian and Ubuntu: apt install python%d.%d-venv; then run make again" % (sys.executable, *sys.version_info[:2]))'
MAKE_VENV = { $(PYTHON) -c 'import ensurepip' 2>/dev/null && $(PYTHON) -m venv --clear $(VENV); } || { rm -rf $(VENV); $(NO_VENV); }

# That the environment is whole: one without pip, left by a make that failed or was stopped, is made anew.
$(VENV)/.made: | $(BIN)/python
	@$(BIN)/python -c 'import pip' 2>/dev/null || $(MAKE_VENV)
	@touch $@

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/.made
	@echo "installing what facewire is served with (0.7 GB; a minute or two, once)"
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps -e . -e lab
	@touch $@

$(VENV)/.tensorflow: requirements-tensorflow.lock $(VENV)/.installed
	@echo "installing TensorFlow, which reads FaceNet's weights as .h5 (2 GB; a minute or two, once)"
	$(PIP) --require-hashes -r requirements-tensorflow.lock
	@touch $@

SERVING := $(VENV)/.installed $(if $(WITH_TENSORFLOW),$(VENV)/.tensorflow)

$(VENV)/.testing: requirements-dev.txt $(VENV)/.installed
	$(PIP) -r requirements-dev.txt
	@touch $@

setup: $(SERVING) ## create .venv and install what is needed to serve (TENSORFLOW=1: with TensorFlow)

demo: $(SERVING) ## the main job, from nothing: sample gallery, real server, real clients, names and emotions
	$(BIN)/python scripts/demo.py

web: $(SERVING) ## server and web page: DB if it is there, else the synthetic people; then open localhost:WEB_PORT (8000)
	$(BIN)/python scripts/web.py --db $(DB) --port $(WEB_PORT)

serve: $(SERVING) ## serve DB (default data/facialdb.db) on PORT (default 5050)
	$(BIN)/python server_app.py --port $(PORT) --db $(DB)

test: $(SERVING) $(VENV)/.testing ## the tests of the product
	$(BIN)/python -m pytest $(ARGS)

test-fast: $(VENV)/.testing ## the tests that need no weights and no browser, and start no server: a minute
	$(BIN)/python -m pytest tests/unit tests/property -m "not shared and not weights and not slow" $(ARGS)

test-lab: $(SERVING) $(VENV)/.testing ## the tests of the laboratory in lab/
	$(BIN)/python -m pytest tests/lab $(ARGS)

lint: $(VENV)/.testing ## ruff (lint and format) and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.testing ## let ruff format and mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/.benching: requirements-bench.txt $(VENV)/.tensorflow
	$(PIP) -r requirements-bench.txt
	@touch $@

# The versions of requirements*.txt, and hashes of these and of all that they bring, for any Linux, macOS or Windows. The
# smaller file says nothing else than the larger one. `pip install uv` brings UV.
UV ?= uv
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	--no-annotate --extra server --extra web --extra offline pyproject.toml

lock: ## remake requirements.lock and requirements-tensorflow.lock after a change of requirements*.txt (needs uv)
	grep -h == requirements.txt requirements-web.txt requirements-offline.txt | \
		$(LOCK) --extra tensorflow --constraints - --upgrade --output-file requirements-tensorflow.lock
	$(LOCK) --constraints requirements-tensorflow.lock --upgrade --output-file requirements.lock

bench: $(VENV)/.benching ## how fast: beside DeepFace, FAISS and the bare network, in one run (ARGS="--quick", "--only start")
	test -f data/demo.db || $(BIN)/python scripts/create_db.py data/sample/people --db data/demo.db
	$(BIN)/python scripts/benchmark.py $(ARGS)

# What `make demo` and `make web` write. Albums that somebody began there hold their photos, and the database knows them.
DEMO := $(foreach of,-wal -shm -journal -lock -index -building -restoring .skipped.txt,data/demo.db$(of)) data/demo.db

clean: ## remove what make can make again: .venv, caches, the demo's database; never galleries, albums or copies of yours
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis tests/browser/node_modules
	find . \( -path ./$(VENV) -o -path ./data -o -path ./.git \) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf data/demo data/demo.log data/web.log
	@if [ -e data/demo.albums ]; then \
		echo "kept: data/demo.db and data/demo.albums, which have photos of yours (make distclean asks about them)"; \
	else echo rm -f $(DEMO); rm -f $(DEMO); fi

distclean: ## clean, and remove the galleries, albums and copies in data/, too: says which, and asks (YES=1 does not ask)
	@set --; for one in data/*.db data/*.db-* data/*.db.* data/*.albums; do \
		case " $(DEMO) " in *" $$one "*) [ -e data/demo.albums ] || continue;; esac; \
		if [ -e "$$one" ] || [ -L "$$one" ]; then set -- "$$@" "$$one"; fi; done; \
	if [ $$# -gt 0 ]; then \
		echo "besides what make clean removes, this would remove for good:"; du -sh -- "$$@"; \
		if [ "$(YES)" != 1 ]; then \
			[ -t 0 ] || { echo "nothing was removed; make distclean YES=1 removes it without asking" >&2; exit 1; }; \
			printf 'remove all of it? [y/N] '; read -r answer; \
			case "$$answer" in [yY]|[yY][eE][sS]) ;; *) echo "nothing was removed"; exit 1;; esac; \
		fi; \
		rm -rf -- "$$@"; \
	fi
	@$(MAKE) --no-print-directory clean
