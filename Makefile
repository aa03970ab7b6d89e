# Everything runs from .venv, which the first target needed makes: Python, make and a package index suffice.
PYTHON ?= python3
BIN := .venv/bin

# The environment of LOCK, such as requirements.lock, to the hash; the newest of everything where none is given.
LOCK ?=

.PHONY: demo test lint types unit docs faults long release-check lock audit clean

demo: .venv/installed  ## the main job, on data it generates itself
	$(BIN)/crispmap demo --out demo --overwrite

test: lint types unit  ## lint, types and the whole suite

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

# One thread in each process: threads of one would wait for those of the other. Three on two processors, because tests
# of whole commands wait for disks and for each other's ends.
unit: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 3 --dist worksteal

docs: .venv/installed  ## the site, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

faults: .venv/installed  ## kills, full disks and bad inputs, all of them: 40 minutes; writes docs/results/faults.md
	$(BIN)/python tests/faults/run.py
	OMP_NUM_THREADS=1 CRISPMAP_LONG=1 $(BIN)/pytest -n 2 -m long tests/bad_inputs

long: .venv/installed  ## what pages and notebooks show, carried out, and a vanishing machine: a quarter of an hour
	OMP_NUM_THREADS=1 CRISPMAP_LONG=1 $(BIN)/pytest -m long tests --ignore tests/bad_inputs

release-check: .venv/installed  ## wheel and sdist, with the newest and the lowest of what they need: half an hour
	$(BIN)/python tools/release_check.py

lock: .venv/installed  ## requirements.lock: everything for CI, with versions and hashes
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --extra dev --generate-hashes \
		--no-emit-index-url --no-annotate --custom-compile-command "make lock" \
		--output-file requirements.lock pyproject.toml

audit: .venv/installed  ## known holes in what requirements.lock names
	$(BIN)/pip-audit --strict --disable-pip --requirement requirements.lock

.venv/installed: pyproject.toml $(LOCK)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(if $(LOCK),$(BIN)/python -m pip install --quiet --require-hashes --requirement $(LOCK))
	$(BIN)/python -m pip install --quiet $(if $(LOCK),--no-deps) --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv demo build dist site .mypy_cache .ruff_cache .pytest_cache
