# `make demo` and `make test` are the whole set-up: both build .venv/ first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The CPU build of torch first: otherwise whatever asks for torch brings several GB of CUDA along.
TORCH := torch==2.13.0

.PHONY: demo test test-all check format clean

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(TORCH) || \
	  $(BIN)/python -m pip install --quiet $(TORCH) --index-url https://download.pytorch.org/whl/cpu
	$(BIN)/python -m pip install --quiet --editable '.[train,faster,search,curation,server,dev]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/rungwise climb examples/support/tickets.csv --project demo/tickets --target accuracy=0.77

test: $(STAMP)
	$(BIN)/python -m pytest

test-all: $(STAMP)
	$(BIN)/python -m pytest -m 'slow or not slow'

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf demo build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
