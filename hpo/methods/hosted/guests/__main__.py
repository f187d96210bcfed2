"""Starts a host: `python .../guests NAME` loads this folder as a package, whatever project it lies in, and serves."""

import sys

sys.path.pop(0)  # this folder, whose files have the libraries' names

import importlib
import importlib.util
import os

FOLDER = os.path.dirname(os.path.abspath(__file__))


def main() -> None:
    spec = importlib.util.spec_from_file_location(
        "guests", os.path.join(FOLDER, "__init__.py"), submodule_search_locations=[FOLDER]
    )
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{FOLDER} must hold the guests")
    package = importlib.util.module_from_spec(spec)
    sys.modules["guests"] = package
    spec.loader.exec_module(package)
    importlib.import_module("guests.serving").serve(sys.argv[1])


if __name__ == "__main__":
    main()
