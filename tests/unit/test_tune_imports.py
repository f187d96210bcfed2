"""Importing hpo.live.tune: Tune's settings come before ray, and a worker process loads little."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.live.tune import SETTINGS

ROOT = Path(__file__).parents[2]
MODULES = sorted(path.stem for path in (ROOT / "hpo" / "live" / "tune").glob("[a-z]*.py"))

FIRST = """
import json, os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "ray":
            print(json.dumps(dict(os.environ)))
            sys.exit()
sys.meta_path.insert(0, Watch())
import hpo.live.tune.{module}
import ray
"""

WORKER = """
import sys
import hpo.live.tune.worker
print(*sys.modules)
"""


def child(text: str, **changes: str) -> str:
    """What a fresh interpreter prints that knows none of Tune's settings."""
    inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    environment = {**inherited, "PYTHONPATH": str(ROOT), **changes}
    done = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", MODULES)
def test_the_settings_are_there_before_ray_is_imported_whichever_module_comes_first(module: str) -> None:
    seen = json.loads(child(FIRST.format(module=module)))
    assert {name: seen.get(name) for name in SETTINGS} == SETTINGS


def test_a_setting_of_the_users_stays() -> None:
    seen = json.loads(child(FIRST.format(module="driver"), TUNE_GLOBAL_CHECKPOINT_S="7"))
    assert seen["TUNE_GLOBAL_CHECKPOINT_S"] == "7"


def test_a_worker_process_loads_neither_the_store_nor_the_study_nor_the_driver() -> None:
    loaded = set(child(WORKER).split())
    assert "hpo.worker.training" in loaded
    rooms = {name for name in loaded if name.startswith("hpo.")}
    assert not {name for name in rooms if name.startswith(("hpo.store", "hpo.game", "hpo.methods", "hpo.results"))}
    assert not rooms & {"hpo.study.study", "hpo.live.dispatch", "hpo.live.tune.driver", "hpo.live.tune.link"}
    assert "torch" not in loaded
