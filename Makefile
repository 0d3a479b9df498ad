# Python environments, the service and its checks. `make help` says what there is.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first interpreter that is Python 3.11: the pinned packages were tested with no other.
IS_311 := -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'
PYTHON ?= $(shell for p in python3.11 python3 python; do \
	$$p $(IS_311) >/dev/null 2>&1 && echo $$p && break; done)

SERVER := .venv/bin/python
CLIENT := .venv-client/bin/python
PIP := -m pip install --quiet --disable-pip-version-check --no-input

SERVING_READY := .venv/.serving
DEVELOPING_READY := .venv/.developing
COMPARING_READY := .venv/.comparing
BENCHING_READY := .venv/.benching
CLIENT_READY := .venv-client/.ready

# Jina reports each start to its vendor unless told not to.
export JINA_OPTOUT_TELEMETRY := 1
export PYTHONUNBUFFERED := 1

.PHONY: help setup serve demo compare test faults lint format coverage bench bench-gpu clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(SERVING_READY)  ## Install what serving needs into .venv

serve: $(SERVING_READY)  ## Serve on port 51001 until Ctrl-C
	@echo "Serving gRPC, HTTP and WebSocket on port 51001; Ctrl-C stops."
	@exec $(SERVER) -m gateway.launcher --uses flows/flow.yml

demo: $(SERVING_READY) $(CLIENT_READY)  ## Upscale a photo through the official client
	@$(CLIENT) examples/demo.py --server $(SERVER)

compare: $(COMPARING_READY)  ## Measure models side by side into comparison/ (IMAGES, OPTIONS="--quick …")
	@$(SERVER) -m superres compare $(IMAGES) $(OPTIONS)

test: $(DEVELOPING_READY) $(CLIENT_READY)  ## Run the tests
	@OMP_NUM_THREADS=1 $(SERVER) -m pytest -q -n 2 --dist loadfile

faults: $(DEVELOPING_READY)  ## Send hostile requests in full size and time their neighbours
	@$(SERVER) -m pytest -q -m "slow or not slow" tests/faults tests/executors/server

lint: $(DEVELOPING_READY)  ## Check style, types, imports, docstrings and sizes
	@echo "ruff …" && $(SERVER) -m ruff check . && $(SERVER) -m ruff format --check .
	@echo "mypy …" && $(SERVER) -m mypy
	@echo "import-linter …" && .venv/bin/lint-imports --no-logo
	@echo "pydoclint …" && .venv/bin/pydoclint --quiet contract superres executors gateway evaluation
	@echo "measures …" && $(SERVER) -m tools.measure

format: $(DEVELOPING_READY)  ## Rewrite the sources in the project's style
	@$(SERVER) -m ruff check --fix . ; $(SERVER) -m ruff format .

coverage: $(DEVELOPING_READY) $(CLIENT_READY)  ## Run the tests and say which lines they miss
	@$(SERVER) -m coverage run -m pytest
	@$(SERVER) -m coverage combine --quiet && $(SERVER) -m coverage report

bench: $(BENCHING_READY)  ## Measure against peers, about half an hour (quality: SETS="folder ...")
	@$(SERVER) -m benchmarks.speed --memory
	@$(SERVER) -m benchmarks.request
	@$(SERVER) -m benchmarks.codecs
	@$(SERVER) -m benchmarks.service
	@$(SERVER) -m benchmarks.cost
	@$(SERVER) -m benchmarks.memory
	@if [ -n "$${SETS:-}" ]; then $(SERVER) -m benchmarks.quality --sets $$SETS; fi

bench-gpu:  ## Measure on CUDA, at most 8 minutes; in any environment with torch 2.11 or newer
	@$(PYTHON) -m benchmarks.gpu

clean:  ## Remove the environments, caches and the demo's images
	rm -rf .venv .venv-client examples/node_modules demo .coverage .coverage.* .hypothesis .grimp_cache .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps: an installation is repeated only when its requirements changed.

.venv/.python .venv-client/.python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 was not found: install it, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) $(IS_311) || { echo "PYTHON=$(PYTHON) is not Python 3.11" >&2; exit 1; }
	@echo "Creating $(@D) …"
	@$(PYTHON) -m venv --clear $(@D)
	@touch $@

$(SERVING_READY): requirements.txt | .venv/.python
	@echo "Installing the server's packages into .venv (a few minutes the first time) …"
	@$(SERVER) $(PIP) -r $<
	@touch $@

$(DEVELOPING_READY): requirements-dev.txt requirements-swin2sr.txt requirements-diffusion.txt \
                    requirements-community.txt requirements-compare.txt requirements-video.txt \
                    requirements.txt | .venv/.python
	@echo "Installing the packages for development into .venv (a few minutes the first time) …"
	@$(SERVER) $(PIP) -r $<
	@touch $@ $(SERVING_READY)

$(COMPARING_READY): requirements-compare.txt $(SERVING_READY)
	@echo "Installing what a comparison measures with into .venv …"
	@$(SERVER) $(PIP) -r $<
	@touch $@

$(BENCHING_READY): requirements-bench.txt $(DEVELOPING_READY)
	@echo "Installing what ours is compared with into .venv …"
	@$(SERVER) $(PIP) -r $<
	@touch $@

$(CLIENT_READY): requirements-client.txt | .venv-client/.python
	@echo "Installing the official client into .venv-client (a few minutes the first time) …"
	@$(CLIENT) $(PIP) -r $<
	@touch $@
