# Targets: demo, test, lint, bench. Everything they need is installed into .venv from requirements.lock.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench clean

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("HPO Arena needs Python 3.11 or newer, but $(PYTHON) is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

demo: .venv/ready ## grid, random, Bayesian and ASHA side by side on real digits
	$(BIN)/hpo run digits --store results

test: .venv/ready
	$(BIN)/python -m pytest -m "not bench and not soak"

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/ready ## measurements, side by side with the peers that are installed
	$(BIN)/python tests/bench/bench.py

clean:
	rm -rf .venv results .pytest_cache .mypy_cache .ruff_cache
