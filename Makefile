# The first minute: `make repro` sets everything up and ends in the report, `make test` checks it.
SHELL := bash
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# DVC starts the stages' `python` and `accelerate` from here.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help repro test coverage lint format preset study chaos lock audit

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12
	@echo; echo "presets: $(patsubst presets/%.yaml,%,$(wildcard presets/*.yaml))"
	@echo "studies: $(patsubst studies/%.yaml,%,$(wildcard studies/*.yaml))"

# The versions that are tested, checked by hash; UNLOCKED=1 takes the newest that requirements.txt
# allows, for platforms or Pythons that the lock does not fit. Compiled here, once: where Python is
# told not to write bytecode (PYTHONDONTWRITEBYTECODE, read-only folders), each stage would start by
# compiling PyTorch for ten seconds.
$(READY): requirements.txt requirements.lock requirements-uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: $(PYTHON) is older than 3.11; name another: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		$(if $(UNLOCKED),uv,--require-hashes -r requirements-uv.lock)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python \
		$(if $(UNLOCKED),-r requirements.txt,--require-hashes -r requirements.lock)
	@$(BIN)/python -m pipeline.reporting.plots_template
	@touch $@

repro: $(READY)  ## render or fetch the data set, train, sample, compare, report
	$(BIN)/dvc repro
	@echo "report: metrics/report/index.html"

test: $(READY)  ## unit tests and one run of the smoke preset in a temporary clone
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

coverage: $(READY)  ## lines and branches of pipeline/ that the unit tests reach; fails below 90 %
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" --cov

chaos: $(READY)  ## kill every stage at random moments; are its outs those of an unbroken run?
	$(BIN)/python -m benchmarks.chaos --kills $(or $(KILLS),50) --seed $(or $(SEED),0)

lint: $(READY)  ## style, formatting and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

format: $(READY)  ## let ruff rewrite what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

lock: $(READY)  ## write the lock after a change of requirements.txt; UPGRADE=1 takes newer versions
	$(COMPILE) requirements.txt -o requirements.lock
	echo uv | $(COMPILE) - -o requirements-uv.lock

audit: $(READY)  ## look the locked versions up among known vulnerabilities (needs network)
	$(BIN)/pip-audit --strict --require-hashes --disable-pip -r requirements.lock

preset: $(READY)  ## write a preset into params.yaml: make preset NAME=tiles DATA=/path/to/tiles
	$(BIN)/python -m pipeline.io.presets "$(NAME)" $(if $(DATA),--data "$(DATA)")

study: $(READY)  ## run a study of many cells, or go on with it: make study NAME=masks PRESET=smoke FOLDS=5
	$(BIN)/python -m pipeline.studies.run "$(NAME)" $(if $(PRESET),--preset "$(PRESET)") \
		$(if $(FOLDS),--folds "$(FOLDS)")
