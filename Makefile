# Targets: demo, test, test-quick, coverage, journeys, soak, s3, hosts, lint, docs, pages, bench, gpu, image, lock, dist, api. All but pages, gpu and image first install
# requirements.lock, with its hashes checked, into .venv. test-quick runs the unit and contract tests but for the slow ones
# (networks, S3, many studies), in minutes; test runs everything but benches, journeys, soak, s3, hosts and gpu. With
# CPU=1 TORCH_INDEX=URL a new .venv takes the CPU builds of the locked torch and torchvision from that index, without a check
# of their hashes, and no CUDA libraries; a CPU build that is already in .venv stays, too.

# Modules and rewritten tests are compiled once, not by each of some thousand processes.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
CPU ?=
TORCH_INDEX ?=
BIN := .venv/bin
PIP = $(BIN)/python -m pip install $$(test -t 2 || echo --quiet) --disable-pip-version-check
CPU_TORCH := $(BIN)/python -c 'from importlib.metadata import version; raise SystemExit("+cpu" not in version("torch"))'

.PHONY: demo test test-quick journeys soak s3 hosts lint docs pages bench gpu image launch lock dist coverage api clean

# One process more than cores, because tests of clusters wait for most of their time; tests/conftest.py orders the files.
PROCESSES = $$($(BIN)/python -c 'import os; print(min(4, 1 + os.cpu_count()))')
TEST = $(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder -m "not bench and not soak and not s3 and not gpu and not hosts and not journey"
QUICK = $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile -m "not slow and not s3 and not hosts" tests/unit tests/contract
VARIANT ?= cpu
DIGITS := tests/recorded_stores/digits.tar.gz
GPU_PYTHON ?= $(if $(wildcard $(BIN)/python),$(BIN)/python,python3)
GPU_JSON ?= gpu.json

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 15) else "HPO Arena needs Python 3.11 to 3.14, but $(PYTHON) is " + sys.version.split()[0])'
	@echo "Setting up .venv with the locked packages: $(if $(CPU),1 GB to download,3 GB to download with the CUDA libraries), some minutes, once"
	@$(PYTHON) -m venv .venv
	@$(if $(CPU),$(PIP) --no-deps $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $$(sed -nE 's/^(torch|torchvision)==([0-9.]+).*/\1==\2+cpu/p' requirements.lock))
	@if $(CPU_TORCH) 2>/dev/null; then sed '/^\(cuda\|nvidia\|triton\)\b/,/[^\\]$$/d' requirements.lock; else cat requirements.lock; fi >.venv/wanted.txt
	@$(PIP) -r .venv/wanted.txt
	@$(PIP) --no-deps -e .
	@touch $@

demo: .venv/ready ## grid, random, Bayesian and ASHA side by side on real digits
	@$(BIN)/hpo run digits --store results
	@command -v hpo >/dev/null || echo "hpo is in $(BIN): 'source $(BIN)/activate' puts it on PATH"

test: .venv/ready ## one file at a time in each of up to four processes, the long ones first
	@cat tests/covered.txt
	$(TEST)

test-quick: .venv/ready ## unit and contract tests but for the slow ones (networks, S3, many studies)
	$(QUICK)

journeys: .venv/ready ## whole stories on real clusters and in Chromium (tutorials line by line, notebooks, the service from submission to comparison, Slurm, compose, autoscaler): tens of minutes
	$(BIN)/python -m pytest -m journey

soak: .venv/ready ## 200 faults over 20 studies on real Ray nodes, with a summary: takes an hour, and root's rights for a small disk
	$(BIN)/python -m pytest -m soak
	$(BIN)/python tests/faults/soak.py

s3: .venv/ready ## the store's contract and faults against a real S3 server: needs Ceph's radosgw (tests/s3_servers.py)
	$(BIN)/python -m pytest -m s3

hosts: .venv/ready ## other libraries, each installed in an environment of its own below HPO_HOSTS (build/hosts), and held to the contract
	HPO_HOSTS=$${HPO_HOSTS:-$$PWD/build/hosts} $(BIN)/python tests/hosts.py

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python tests/examples.py

docs: .venv/ready ## the documentation site in build/site: the reference's tables from the code, every link and anchor checked
	$(BIN)/python -m docs.from_code
	mkdir -p build/gallery
	$(BIN)/python -m hpo.cli compare $(DIGITS) --format html -o build/gallery/digits.html
	$(BIN)/python -m hpo.cli replay digits --curves $(DIGITS) --sweep "workers=1,4,16 budget=64,128" --picture build/gallery/sweep.svg >/dev/null
	$(BIN)/python -m docs.from_code.notebooks build/notebooks
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

pages: ## the service's scripts and styles from their TypeScript, type-checked: needs npm; the same sources give the same bytes
	cd hpo/service/pages && npm ci --ignore-scripts --no-audit --no-fund && npm run check && npm test && npm run build

bench: .venv/ready ## measurements, side by side with the peers that are installed
	$(BIN)/python tests/bench/bench.py

gpu: ## checks, then measurements, on a GPU, in under nine minutes; installs nothing, and takes .venv or python3 with its torch
	$(GPU_PYTHON) tests/gpu/gpu.py --json $(GPU_JSON)

image: ## runs docker/Dockerfile's steps without Docker in a new folder, then a short study: minutes; VARIANT=cuda: 7 GB
	$(PYTHON) docker/rehearse.py --build-arg VARIANT=$(VARIANT) $(if $(TORCH_INDEX),--build-arg TORCH_INDEX=$(TORCH_INDEX))

launch: .venv/ready ## plays Ray's cluster launcher on deploy/aws in the image's root, without AWS and Docker; root and debootstrap
	$(BIN)/python docker/launch.py

lock: .venv/ready ## brings requirements.lock, which holds every extra, in line with pyproject.toml; keeps every version that still fits
	$(BIN)/uv pip compile pyproject.toml --group dev --group docs --all-extras --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet -o requirements.lock

dist: .venv/ready ## the sdist and the wheel, in dist/; a tag on this commit must be v and the version in hpo/__init__.py
	$(BIN)/python tests/dist.py

# Without the tests of lean imports: the tracer imports more in each process.
coverage: .venv/ready ## test-quick with the shares of lines and branches that ran, in this and in child processes; make test shows them
	$(QUICK) --ignore tests/unit/test_lean_imports.py --cov --cov-report=term:skip-covered --cov-report=json:build/coverage.json
	@$(BIN)/python tests/covered.py build/coverage.json

api: .venv/ready ## renews tests/public_api.txt after a deliberate change of the public Python API
	$(BIN)/python tests/public_api.py --write

clean:
	rm -rf .venv results .pytest_cache .mypy_cache .ruff_cache
