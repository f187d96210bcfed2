#!/usr/bin/env bash
# Installs the image's packages into the Python that is first on PATH: install.sh cpu|cuda dependencies|project
# Runs in a folder with pyproject.toml and requirements.lock. The lock gives versions and hashes; packages that only tests
# and tools need are left out.
set -euo pipefail

usage="usage: install.sh cpu|cuda dependencies|project"
variant=${1:?$usage} what=${2:?$usage}

case $variant in
  cpu) : "${TORCH_INDEX:?TORCH_INDEX must be the URL of an index with CPU wheels}" ;;
  cuda) ;; # the usual wheels bring the CUDA libraries along
  *) echo "install.sh: the variant must be cpu or cuda, but got $variant" >&2; exit 2 ;;
esac

case $what in
  dependencies)
    python -m pip install 'pip>=26.1' # the first that takes hashes from a constraints file
    if [[ $variant == cpu ]]; then
      # The CPU builds first and alone: they are not in the lock, and pip keeps a torch that is already installed.
      torch=$(sed -nE 's/^(torch|torchvision)==([0-9.]+).*/\1==\2+cpu/p' requirements.lock)
      # shellcheck disable=SC2086 # two words
      python -m pip install --no-deps --index-url "$TORCH_INDEX" $torch
    fi
    python - >/tmp/dependencies.txt <<'PYTHON'
import tomllib

with open("pyproject.toml", "rb") as stream:
    project = tomllib.load(stream)["project"]
extras = project["optional-dependencies"]
wanted = [*project["dependencies"], *(package for name in ("torch", "s3", "cluster") for package in extras[name])]
print("\n".join(wanted))
PYTHON
    python -m pip install -c requirements.lock -r /tmp/dependencies.txt
    rm /tmp/dependencies.txt
    ;;
  project) python -m pip install --no-deps . ;;
  *) echo "install.sh: the second word must be dependencies or project, but got $what" >&2; exit 2 ;;
esac
python -m pip check
