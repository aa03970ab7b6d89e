# Everything runs from .venv, which the first target needed makes: Python, make and a package index suffice.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types unit clean

demo: .venv/installed  ## the main job, on data it generates itself
	$(BIN)/crispmap demo --out demo --overwrite

test: lint types unit  ## lint, types and the whole suite

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

unit: .venv/installed  # one thread in each of two processes: threads of one would wait for those of the other
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv demo build dist .mypy_cache .ruff_cache .pytest_cache
