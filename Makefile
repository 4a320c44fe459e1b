# `make` lists what there is. Everything is installed into .venv. Outside this folder only these are written: downloaded
# weights (~/.deepface), converted networks (~/.cache/facewire) and pip's own cache (docs/privacy.md lists them all).

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
PORT ?= 5050
WEB_PORT ?= 8000
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
DB ?= data/facialdb.db

# FaceNet's weights as .h5 are read by TensorFlow, which takes 2 GB: installed where such weights are here and none as
# .onnx, and where it is asked for (TENSORFLOW=1; TENSORFLOW=0 says no).
WEIGHTS := $(foreach home,$(or $(DEEPFACE_HOME),$(HOME)) ../shared/deepface,$(wildcard $(home)/.deepface/weights/facenet*_weights.*))
TENSORFLOW ?= $(if $(filter %.onnx,$(WEIGHTS)),,$(filter %.h5,$(WEIGHTS)))
WITH_TENSORFLOW := $(filter-out 0,$(TENSORFLOW))

.DEFAULT_GOAL := help
.PHONY: help setup demo cluster-demo web serve test test-fast test-lab lint lint-page format lock bench clean distclean

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

# What the page has from npm; where npm is missing, pip brings it for the moment.
PAGE_LIBRARIES := client/web/static/vendor/package-lock.json
$(PAGE_LIBRARIES): $(wildcard client/web/vendor.py client/web/npm/*) | $(VENV)/.made
	@$(BIN)/python client/web/vendor.py
	@touch $@

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/.made $(PAGE_LIBRARIES)
	@echo "installing what a server needs (0.7 GB; a few minutes, once)"
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps -e . -e lab
	@touch $@

$(VENV)/.tensorflow: requirements-tensorflow.lock $(VENV)/.installed
	@echo "installing TensorFlow, which reads FaceNet's weights as .h5 (2 GB; a few minutes, once)"
	$(PIP) --require-hashes -r requirements-tensorflow.lock
	@touch $@

SERVING := $(VENV)/.installed $(if $(WITH_TENSORFLOW),$(VENV)/.tensorflow)

$(VENV)/.testing: requirements-dev.txt requirements-camera.txt $(VENV)/.installed
	$(PIP) -r requirements-dev.txt -r requirements-camera.txt
	@touch $@

# The lock holds what is there already to its versions.
$(VENV)/.cluster: requirements-cluster.txt $(VENV)/.installed
	@echo "installing Milvus, for several hosts with one gallery (60 MB)"
	$(PIP) -r requirements-cluster.txt
	@touch $@

setup: $(SERVING) ## create .venv and install what is needed to serve (TENSORFLOW=1: with TensorFlow)

demo: $(SERVING) ## the main job, from nothing: sample gallery, real server, real clients, names and emotions
	$(BIN)/python scripts/demo.py

# Milvus' wheel is not there for every platform: the demo says what it does without.
cluster-demo: $(SERVING) ## Milvus, two servers and HAProxy: a client does not notice kill -9 (apt-get install haproxy)
	@$(MAKE) --no-print-directory $(VENV)/.cluster || echo "Milvus can't be installed here; going on without"
	$(BIN)/python scripts/cluster_demo.py

web: $(SERVING) ## server and web page: DB if it is there, else the synthetic people; then open localhost:WEB_PORT (8000)
	$(BIN)/python scripts/web.py --db $(DB) --port $(WEB_PORT)

serve: $(SERVING) ## serve DB (default data/facialdb.db) on PORT (default 5050)
	$(BIN)/python server_app.py --port $(PORT) --db $(DB)

# Files are handed out whole (what they share is made once), in the order of pyproject.toml. One process more than there
# are cores, as many tests wait for servers: 11 minutes on two cores instead of 15. WORKERS=0: one process.
TEST := $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: $(SERVING) $(VENV)/.testing ## the tests of the product
	$(TEST) $(ARGS)

test-fast: $(VENV)/.testing ## the tests that need no weights and no browser, and start no server: a minute
	$(TEST) tests/property tests/unit -m "not shared and not weights and not slow" $(ARGS)

test-lab: $(SERVING) $(VENV)/.testing ## the tests of the laboratory in lab/
	$(TEST) tests/lab $(ARGS)

lint: $(VENV)/.testing ## ruff (lint and format), mypy --strict and, where npm is, prettier, eslint and tsc for the page's code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory lint-page; \
	else echo "npm is not here: the page's code was not checked"; test -z "$(FACEWIRE_REQUIRE_NPM)"; fi

# What checks the page's code, from npm: prettier, eslint for mistakes, TypeScript's checker for modules with // @ts-check.
PAGE_CHECKS := tests/javascript
$(PAGE_CHECKS)/node_modules/.installed: $(PAGE_CHECKS)/package.json
	npm install --silent --no-save --no-package-lock --no-audit --no-fund --prefix $(PAGE_CHECKS)
	@touch $@

PRETTIER := $(PAGE_CHECKS)/node_modules/.bin/prettier --config $(PAGE_CHECKS)/prettier.json --log-level warn

lint-page: $(PAGE_CHECKS)/node_modules/.installed $(PAGE_LIBRARIES)
	$(PRETTIER) --check client/web/static/js
	$(PAGE_CHECKS)/node_modules/.bin/eslint --config $(PAGE_CHECKS)/eslint.config.js client/web/static/js
	$(PAGE_CHECKS)/node_modules/.bin/tsc -p $(PAGE_CHECKS)

format: $(VENV)/.testing ## let ruff (and, where npm is, prettier) format and mend what they can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(PAGE_CHECKS)/node_modules/.installed && \
	$(PRETTIER) --write client/web/static/js; fi

# face_recognition asks for dlib's sources; dlib-bin, which is there, is the same, built.
$(VENV)/.benching: requirements-bench.txt $(VENV)/.tensorflow $(VENV)/.cluster
	$(PIP) -r requirements-bench.txt
	$(PIP) --no-deps face_recognition==1.3.0
	@touch $@

# The versions of requirements*.txt, and hashes of these and of all that they bring, for any Linux, macOS or Windows. The
# smaller files say nothing else than the largest one; that of the page is for its container. `pip install uv` brings UV.
UV ?= uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	--no-annotate pyproject.toml
LOCK := $(COMPILE) --extra server --extra web --extra offline

lock: ## remake requirements.lock and those like it after a change of requirements*.txt (needs uv)
	grep -h == requirements.txt requirements-web.txt requirements-offline.txt | \
		$(LOCK) --extra tensorflow --constraints - --upgrade --output-file requirements-tensorflow.lock
	$(LOCK) --constraints requirements-tensorflow.lock --upgrade --output-file requirements.lock
	$(COMPILE) --extra web --constraints requirements.lock --upgrade --output-file requirements-web.lock

bench: $(VENV)/.benching ## how fast: beside DeepFace, FAISS and the bare network, in one run (ARGS="--quick", "--smoke", "--only start")
	test -f data/demo.db || $(BIN)/python scripts/create_db.py data/sample/people --db data/demo.db
	$(BIN)/python scripts/benchmark.py $(ARGS)

# What `make demo` and `make web` write. Albums that somebody began there hold their photos, and the database knows them.
DEMO := $(foreach of,-wal -shm -journal -lock -index -building -restoring .skipped.txt,data/demo.db$(of)) data/demo.db

clean: ## remove what make can make again: .venv, caches, the demo's database; never galleries, albums or copies of yours
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis tests/browser/node_modules tests/javascript/node_modules
	find . \( -path ./$(VENV) -o -path ./data -o -path ./.git \) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf data/demo data/demo.log data/web.log client/web/static/vendor
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
