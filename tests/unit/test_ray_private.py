"""Every part of Ray that no document promises, and that this project uses: here it is named, and must still be there.

A test that fails here after an upgrade of Ray says which file uses the part, and what for. Find where Ray has moved it, and
change that file alone; where Ray has dropped it, do without: the comment of its function says what is lost.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from hpo.live import tune as ours
from hpo.live.tune import private
from hpo.live.tune.worker import SlotWorker

ROOT = Path(__file__).parents[2]
TUNE = "hpo/live/tune/private.py"
LEAN = "cluster/lean_node.py"
SESSION = "trainables/adapters/tune_session.py"
CONTROLLER = "ray.tune.execution.tune_controller:TuneController"
WRAPPER = "ray.tune.execution.tune_controller:TrialRunnerWrapper"

# (module:class or module, attribute, the file of ours that uses it, what for)
PARTS = [
    (WRAPPER, "_tune_controller", TUNE, "the controller itself, of which a scheduler sees a wrapper"),
    (CONTROLLER, "_class_cache", TUNE, "to start our class in the processes that Ray keeps ready"),
    ("ray.actor:ActorClass", "_remote", TUNE, "to start our class without Tune's arguments"),
    (CONTROLLER, "_actor_manager", TUNE, "to count the processes that no node has room for"),
    ("ray.air.execution._internal.actor_manager:RayActorManager", "num_pending_actors", TUNE, "to count those processes"),
    (CONTROLLER, "stop_trial", "hpo/live/tune/adapters.py", "to end the process of a slot that is given back"),
    (CONTROLLER, "get_live_trials", "hpo/live/tune/adapters.py", "the trials among which those slots are"),
    ("ray.tune.schedulers:TrialScheduler", "NOOP", "hpo/live/tune/adapters.py", "to let a process wait for our own calls"),
    ("ray.tune.progress_reporter:TrialProgressCallback", "log_result", "hpo/live/tune/adapters.py", "to keep it quiet"),
    ("ray.tune.experiment:Trial", "get_pickled_error", TUNE, "the last words of a process"),
    ("ray.train._internal.session", "_session", SESSION, "what ray.tune.report and its like find around a function"),
    ("ray.train._internal.session:_TrainSession", "loaded_checkpoint", SESSION, "what ray.tune.get_checkpoint asks"),
    ("ray.train._internal.session:_TrainSession", "trial_name", SESSION, "what ray.tune.get_context asks"),
    ("ray.train._internal.session:_TrainSession", "trial_id", SESSION, "what ray.tune.get_context asks"),
    ("ray.train._internal.session:_TrainSession", "trial_dir", SESSION, "what ray.tune.get_context asks"),
    ("ray.train._internal.session:_TrainSession", "trial_resources", SESSION, "what ray.tune.get_context asks"),
    ("ray.train._internal.session:_TrainSession", "experiment_name", SESSION, "what ray.tune.get_context asks"),
    ("ray.train._internal.session:_TrainSession", "world_rank", SESSION, "None tells Tune from Ray Train"),
    ("ray.train._internal.session", "_TrainingResult", SESSION, "what restores a tune.Trainable with its counts"),
    ("ray.tune:Trainable", "_setup_logdir", SESSION, "to make its folder a temporary one"),
    ("ray.tune:Trainable", "_logdir", SESSION, "to make its folder a temporary one"),
    ("ray.tune.result", "AUTO_RESULT_KEYS", "trainables/adapters/tune.py", "what Tune adds to a class's metrics"),
    ("ray.exceptions:RayTaskError", "cause", "hpo/worker/ranks.py", "the exception that the user's code raised in a rank"),
    ("ray._private.state", "available_resources_per_node", "cluster/living.py", "what each node has free"),
    ("ray.util", "get_node_ip_address", "hpo/worker/ranks.py", "where the ranks of a trial meet"),
    ("ray._raylet", "AuthenticationTokenLoader", "cluster/tokens.py", "to make Ray read a new token"),
    ("ray._raylet", "Config", "cluster/tokens.py", "to make Ray read a new authentication mode"),
    ("ray.job_submission:JobSubmissionClient", "_do_request", "cluster/jobs.py", "limits on how long a request may take"),
    ("ray._private.node:Node", "start_api_server", LEAN, "to start no dashboard"),
    ("ray._private.node:Node", "start_raylet", LEAN, "to start the raylet without its agents"),
    ("ray._private.node:Node", "kill_all_processes", LEAN, "to end a cluster of our own"),
    ("ray._private.parameter", "RayParams", LEAN, "a node without monitors"),
    ("ray._private.services", "ConsolePopen", LEAN, "to start a cluster's processes in sessions of their own"),
    ("ray._private.services", "start_ray_process", LEAN, "to change the raylet's command"),
    ("ray._private.ray_constants", "KV_NAMESPACE_DASHBOARD", LEAN, "to say that there is no dashboard"),
    ("ray._raylet", "persist_port", LEAN, "to tell the raylet the ports of agents that are not there"),
    ("ray._raylet", "GcsClient", "tests/ray/test_run.py", "to knock at a cluster's door without a token"),
    ("ray.cluster_utils", "Cluster", "tests/ray_nodes.py", "several real nodes on one machine"),
    ("ray.cluster_utils", "Cluster", "tests/bench/bench_slots.py", "random clusters of real nodes"),
    ("ray._private.label_utils", "validate_label_selector", "tests/unit/test_resources.py", "which labels Ray accepts"),
    ("ray.autoscaler._private.util", "validate_config", "tests/unit/test_manifests.py", "Ray's own check of a launcher file"),
    ("ray.autoscaler._private.util", "prepare_config", "tests/unit/test_manifests.py", "Ray's own check of a launcher file"),
    ("ray.tune.schedulers.async_hyperband", "_Bracket", "tests/unit/test_schedules.py", "a peer of our asha_stopping"),
]  # fmt: skip


def advice(where: str, name: str, user: str, purpose: str) -> str:
    return (
        f"Ray {ray.__version__} has no {name} in {where} any more. {user} uses it: {purpose}. "
        f"Find where Ray has moved it and change {user}, or do without it where Ray has dropped it."
    )


def attributes(found: Any) -> set[str]:
    """What a class has, with what its methods set on `self`; of a module, its names."""
    names = set(dir(found))
    for owner in getattr(found, "__mro__", ())[:-1]:
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
        except (OSError, TypeError):
            continue  # compiled
        stored = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)]
        names |= {node.attr for node in stored if isinstance(node.value, ast.Name) and node.value.id == "self"}
    return names


@pytest.mark.parametrize(("where", "name", "user", "purpose"), PARTS, ids=[part[1] for part in PARTS])
def test_ray_still_has(where: str, name: str, user: str, purpose: str) -> None:
    module, _, owner = where.partition(":")
    try:
        found = importlib.import_module(module)
        found = getattr(found, owner) if owner else found
    except (ImportError, AttributeError) as error:
        pytest.fail(f"{error}. {advice(where, name, user, purpose)}")
    assert name in attributes(found), advice(where, name, user, purpose)


@pytest.mark.parametrize(("where", "name", "user", "purpose"), PARTS, ids=[part[1] for part in PARTS])
def test_the_list_is_no_longer_than_it_must_be(where: str, name: str, user: str, purpose: str) -> None:
    text = (ROOT / user).read_text()
    assert re.search(rf"\b{name}\b", text), f"{user} does not use {name} any more: delete its line in this test"


def test_what_is_private_to_ray_tune_is_used_in_one_file() -> None:
    """Whatever begins with an underscore and is neither `self`'s nor `os._exit`: in this package it can only be Ray's."""
    for path in sorted((ROOT / "hpo" / "live" / "tune").glob("*.py")):
        found = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)]
        foreign = {
            node.attr
            for node in found
            if re.match(r"_[a-z]", node.attr)
            and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "os"))
        }
        named = {name for _, name, user, _ in PARTS if user == TUNE}
        if path.name == "private.py":
            assert foreign <= named, f"{foreign - named} must be on the list of this test"
        else:
            assert not foreign, (
                f"{path} uses {foreign}: put it behind a function in {TUNE}, and on the list of this test"
            )


@pytest.mark.parametrize("name", ours.SETTINGS)
def test_ray_still_reads_the_setting(name: str) -> None:
    folder = Path(ray.__file__).parent
    readers = [p for part in ("air", "tune") for p in (folder / part).rglob("*.py") if name in p.read_text()]
    assert readers, (
        f"Ray {ray.__version__} does not read {name} any more. hpo/live/tune/__init__.py sets it, and says what for: "
        "find the setting that has taken its place, or delete the line."
    )


# -- how they work together --------------------------------------------------------------------------------------------


def test_a_scheduler_gets_a_wrapper_or_the_controller() -> None:
    inside = SimpleNamespace(_actor_manager=SimpleNamespace(num_pending_actors=3))
    wrapped = SimpleNamespace(_tune_controller=inside)
    assert private.controller(wrapped) is private.controller(inside) is inside
    assert private.without_room(wrapped) == 3


def test_our_class_starts_whatever_is_asked_for_without_an_environment_of_its_own_and_is_sent_once() -> None:
    inside = SimpleNamespace(_class_cache=None)
    private.start_our_processes(SimpleNamespace(_tune_controller=inside))
    cache = inside._class_cache
    private.start_our_processes(inside)
    assert inside._class_cache is cache
    made = cache.get(object)
    assert made is cache.get(str)
    assert made.__ray_metadata__.modified_class.__name__ == "SlotWorker"
    assert made._default_options.get("runtime_env") is None


@pytest.mark.parametrize("name", ["train", "stop", "get_auto_filled_metrics"])
def test_our_class_has_what_tune_calls_of_a_trainable(name: str) -> None:
    assert callable(getattr(SlotWorker, name))
    assert callable(getattr(ray.tune.Trainable, name))


@pytest.mark.parametrize(
    ("error", "words"), [(None, ""), (RuntimeError("Traceback\n  at a\nKilled: 9\n"), "Killed: 9")]
)
def test_last_words(error: Exception | None, words: str) -> None:
    assert private.last_words(SimpleNamespace(get_pickled_error=lambda: error)) == words
