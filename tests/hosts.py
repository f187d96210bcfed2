"""Installs every library that can be hosted in an environment of its own, and holds those that install to the contract.

    HPO_HOSTS=build/hosts python tests/hosts.py [NAME ...]

It takes some minutes and gigabytes (torch), and needs the package index. Libraries that are there already stay.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hpo.methods.hosted import environments  # noqa: E402
from hpo.methods.hosted.libraries import LIBRARIES  # noqa: E402

TESTED = {"optuna": "optuna and not optunahub", "hpbandster": "bohb and not syne-tune"}
"""What a library's tests are called, where it is not its name."""


def main(names: list[str]) -> int:
    failed, wanted = [], names or list(LIBRARIES)
    for name in wanted:
        found = environments.version(LIBRARIES[name])
        began = time.monotonic()
        if found is None or found[1] == "here":
            try:
                environments.add(name, tell=lambda text: print(text, flush=True))
            except environments.NoHost as error:
                print(f"{name}: {error}", flush=True)
                failed.append(name)
                continue
        print(f"{name}: installed in {time.monotonic() - began:.0f} s", flush=True)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        tests = ["tests/contract/test_hosted.py", "tests/contract/test_hosted_searchers.py"]
        if subprocess.run([*command, *tests, "-k", TESTED.get(name, name)], cwd=ROOT, check=False).returncode:
            failed.append(name)
    print(
        f"{len(LIBRARIES) - len(failed)} libraries hold the contract" + (f"; not {', '.join(failed)}" if failed else "")
    )
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
