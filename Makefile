# `make help` lists the targets. Inside an active virtual environment that one is used, otherwise .venv is made here.
# PYTHON=python3.12        the interpreter that .venv is made with (3.11, 3.12 or 3.13)
# TEST_JOBS=4              processes that `make test` spreads the test files over (2)
# TORCH_INDEX=URL          a further package index for torch, for example PyTorch's CPU index (pytorch.org tells its address): no CUDA libraries
PYTHON ?= python3
TORCH_INDEX ?=
TEST_JOBS ?= 2
TORCH ?= $(shell sed -n 's/^torch==//p' constraints.txt)

VENV := $(if $(VIRTUAL_ENV),$(VIRTUAL_ENV),.venv)
BIN := $(VENV)/bin
READY := $(VENV)/.bmt-qa-installed
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
TORCH_FROM := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

export PATH := $(abspath $(BIN)):$(PATH)
export PIP_NO_INPUT := 1
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export HF_HUB_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help setup repro status study test test-slow lint lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 20

setup: $(READY) ## make .venv and install the locked dependencies

repro: $(READY) ## set up, then run the pipeline of params.yaml (dvc repro)
	@$(BIN)/python -m dvc repro

status: $(READY) ## set up, then which stages of the pipeline are stale: their digests are written anew before DVC looks
	@$(BIN)/python -m dvc repro --quiet --single-item --force digests
	@$(BIN)/python -m dvc status

study: $(READY) ## set up, then a small Optuna study on the profile sample: the best values in studies/sample.best.yaml
	@$(BIN)/python -m benchmark.fetch --params profiles/sample.yaml
	@$(BIN)/python -m benchmark.prepare --params profiles/sample.yaml
	@$(BIN)/python -m benchmark.search --study sample --profile sample --trials 14 --finished 10 --workers 2 \
	  --search lam,gamma,zeta,density --range density=0.02:0.9 --set mask.steps=3 --set mask.batch=4 \
	  --set training.epochs_mt=0.375 --set training.evaluate_every=10 --status --export --figures

test: $(READY) ## set up, then the test suite, on TEST_JOBS cores (2)
	@$(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder

test-slow: $(READY) ## set up, then the tests that take minutes
	@$(BIN)/python -m pytest -m slow

lint: $(READY) ## set up, then ruff, the floors of the house (import-linter) and mypy
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/lint-imports --no-cache --no-logo
	@$(BIN)/python -m mypy

lock: ## renew constraints.txt from the ranges of pyproject.toml, in an environment of its own; torch stays, unless TORCH=2.14.1 says which
	@rm -rf .lock-venv && $(PYTHON) -m venv .lock-venv
	@.lock-venv/bin/python -m pip --disable-pip-version-check -qq install $(TORCH_FROM) torch==$(TORCH)
	@.lock-venv/bin/python -m pip --disable-pip-version-check -qq install -e ".[dev]"
	@sed -n '/^#/p' constraints.txt > .lock-venv/lock
	@.lock-venv/bin/python -m pip freeze --all --exclude-editable | sed -E '/^nvidia-ml-py/!{/^(cuda-|nvidia-|triton==|pip==)/d}; s/\+[^+]*$$//' >> .lock-venv/lock
	@mv .lock-venv/lock constraints.txt && rm -rf .lock-venv
	@echo "constraints.txt renewed; look at the difference, then run make test"

clean: ## remove caches and build folders (data, runs, results and .venv stay)
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .lock-venv build *.egg-info
	@find bmt benchmark tools tests -name __pycache__ -type d -prune -exec rm -rf {} +

# torch first and alone: where a CPU build is offered pip then takes it, before anything else asks for CUDA's.
$(READY): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing the locked dependencies into $(VENV): a few minutes the first time"
	@$(PIP) install $(TORCH_FROM) -c constraints.txt torch
	@$(PIP) install -c constraints.txt -e ".[dev]"
	@touch $@

ifneq ($(VIRTUAL_ENV),)
$(BIN)/python:
	@echo "error: VIRTUAL_ENV is $(VENV), which holds no Python: deactivate it, or make it again" >&2; exit 1
else
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "error: Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "error: $(PYTHON) -m venv failed: install Python's venv module" >&2; exit 1; }
endif
