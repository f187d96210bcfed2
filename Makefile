# Targets: demo, test, soak, s3, lint, bench, image. Everything they need is installed into .venv from requirements.lock.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test soak s3 lint bench image clean

VARIANT ?= cpu

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("HPO Arena needs Python 3.11 or newer, but $(PYTHON) is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

demo: .venv/ready ## grid, random, Bayesian and ASHA side by side on real digits
	$(BIN)/hpo run digits --store results

test: .venv/ready ## a file at a time on each of up to four cores
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile -m "not bench and not soak and not s3"

soak: .venv/ready ## 200 faults over 20 studies on real Ray nodes, with a summary: an hour, and root's rights for a small disk
	$(BIN)/python -m pytest -m soak
	$(BIN)/python tests/faults/soak.py

s3: .venv/ready ## the store's contract and faults against a real S3 server: needs Ceph's radosgw (tests/s3_servers.py)
	$(BIN)/python -m pytest -m s3

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/ready ## measurements, side by side with the peers that are installed
	$(BIN)/python tests/bench/bench.py

image: ## the steps of docker/Dockerfile without Docker, in a new folder, then a short study in it: minutes; VARIANT=cuda: 7 GB
	$(PYTHON) docker/rehearse.py --build-arg VARIANT=$(VARIANT)

clean:
	rm -rf .venv results .pytest_cache .mypy_cache .ruff_cache
