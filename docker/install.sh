#!/usr/bin/env bash
# Installs what the image needs into the Python that is first on PATH: install.sh cpu|cuda dependencies|project
# Runs in a folder with pyproject.toml and requirements.lock. The lock says which versions; tests' and tools' are left out.
set -euo pipefail

variant=${1:?usage: install.sh cpu|cuda dependencies|project} what=${2:?usage: install.sh cpu|cuda dependencies|project}

case $variant in
  cpu) index=(--extra-index-url "${TORCH_INDEX:?TORCH_INDEX must name the place of CPU wheels}") ;;
  cuda) index=() ;; # the usual wheels bring the CUDA libraries along
  *) echo "install.sh: the variant must be cpu or cuda, but got $variant" >&2; exit 2 ;;
esac

case $what in
  dependencies)
    # torch and torchvision alone first, by their local version: else a CUDA wheel of the same number would do as well.
    if [[ $variant == cpu ]]; then
      torch=$(sed -nE 's/^(torch|torchvision)==([0-9.]+).*/\1==\2+cpu/p' requirements.lock)
      # shellcheck disable=SC2086 # two words
      python -m pip install "${index[@]}" -c requirements.lock $torch
    fi
    python - >/tmp/dependencies.txt <<'PYTHON'
import tomllib

with open("pyproject.toml", "rb") as stream:
    project = tomllib.load(stream)["project"]
print("\n".join([*project["dependencies"], "ray[default]"]))  # the head's job server
PYTHON
    python -m pip install ${index[@]+"${index[@]}"} -c requirements.lock -r /tmp/dependencies.txt
    rm /tmp/dependencies.txt
    ;;
  project) python -m pip install --no-deps . ;;
  *) echo "install.sh: dependencies or project must be installed, but got $what" >&2; exit 2 ;;
esac
python -m pip check
