"""What other tasks tell: their results mapped onto a space, expected standings, and a search that unlearns what misleads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from without_ray import dispatching, play_to_the_end, writing

from hpo.errors import StudyError
from hpo.game import contract
from hpo.game.contract import LANDSCAPES, play, verify
from hpo.game.runs import runs_of, setting_of
from hpo.live.dispatch import Dispatch
from hpo.methods.prior.other_tasks import OtherTasks, other_tasks, row
from hpo.methods.protocol import Setting
from hpo.methods.registry import build_searcher
from hpo.store import StudyData, recover
from hpo.store.reader import read
from hpo.store.recover import prior_observations
from hpo.study.space import Choice, Config, Float, Int, SearchSpace
from hpo.study.study import Study
from hpo.study.values import Method, Observation

SPACE = SearchSpace(
    {"rate": Float(1e-4, 1e-1, log=True), "units": Int(8, 64), "size": Choice((16, 64, 32)), "kind": Choice(("a", "b"))}
)


@pytest.mark.parametrize(
    ("config", "features"),
    [
        ({"rate": 1e-2, "units": 8, "size": 32, "kind": "b"}, None),
        ({"rate": 1.0, "units": 8, "size": 32, "kind": "b"}, [1.0, None, 0.5, 0.0, 1.0]),  # beyond the range: its end
        ({"size": 24, "kind": "c"}, [0.5, 0.5, 1 / 3, 0.0, 0.0]),  # between two levels; an option that is not here
        ({"rate": "fast", "size": 512, "elsewhere": 3}, [0.5, 0.5, 5 / 6, 0.0, 0.0]),
    ],
)
def test_another_spaces_configuration_is_matched_by_name(config: Config, features: list[float | None] | None) -> None:
    found = row(SPACE, config)
    if features is None:
        assert found == pytest.approx(SPACE.features(config))
    else:
        assert all(
            wanted is None or value == pytest.approx(wanted) for value, wanted in zip(found, features, strict=True)
        )


BOWL = SearchSpace({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0), "kind": Choice(("a", "b", "c"))})


def bowl(config: Config, shift: float = 0.0) -> float:
    """Larger is better; the best is at x = 0.7 + shift, y = 0.3, kind = b."""
    x, y = float(config["x"]) - 0.7 - shift, float(config["y"]) - 0.3
    return -(x**2) - y**2 - 0.3 * (config["kind"] != "b")


def results(tasks: int = 4, n: int = 40, sign: float = 1.0) -> tuple[Observation, ...]:
    """Results of tasks with values of different scales, and optima that lie near each other."""
    found = []
    for task in range(tasks):
        rng = np.random.default_rng([7, task])
        for config in (BOWL.sample(rng) for _ in range(n)):
            value = sign * 10.0 ** (task - 2) * bowl(config, shift=0.05 * task) + 100 * task
            found += [Observation(config, epoch, value - 1 / epoch, str(task)) for epoch in (1, 2)]
    return tuple(found)


def test_the_expected_standing_follows_what_was_good_on_tasks_of_any_scale() -> None:
    model = OtherTasks(BOWL, results())
    configs = [BOWL.sample(np.random.default_rng([1, i])) for i in range(60)]
    expected = model.predict(np.array([BOWL.features(config) for config in configs]))
    assert ((expected >= 0) & (expected <= 1)).all()
    assert np.corrcoef(expected, [bowl(config) for config in configs])[0, 1] > 0.8


def test_runs_of_a_study_share_one_model() -> None:
    prior = results()
    settings = [Setting(BOWL, 10, 1, seed=seed, prior=prior) for seed in range(2)]
    assert settings[0].prior == ()
    assert other_tasks(BOWL, settings[0].related) is other_tasks(BOWL, settings[1].related) is not None
    assert other_tasks(BOWL, ()) is None


def best_of(seed: int, prior: tuple[Observation, ...], n: int) -> float:
    """The best of n suggestions that are trained one after the other."""
    searcher, best = build_searcher("transfer", Setting(BOWL, 100, 1, seed=seed, prior=prior)), -np.inf
    for _ in range(n):
        config = searcher.suggest()
        assert config is not None
        assert config in BOWL
        best = max(best, bowl(config))
        searcher.observe(config, 1, bowl(config))
        searcher.close(config)
    return best


def test_what_was_good_elsewhere_is_tried_first() -> None:
    alone, helped = ([best_of(seed, prior, 5) for seed in range(8)] for prior in ((), results()))
    assert np.mean(helped) > 0.5 * np.mean(alone), (
        helped,
        alone,
    )  # values below 0: less than half as far from the best
    assert sum(h > a for h, a in zip(helped, alone, strict=True)) >= 7


def test_results_that_mislead_are_soon_not_followed() -> None:
    """With every other task's order reversed, 20 suggestions find what 20 random ones do, in the mean of 6 seeds."""
    alone, misled = ([best_of(seed, prior, 20) for seed in range(6)] for prior in ((), results(sign=-1.0)))
    assert np.mean(misled) > np.mean(alone) - 0.02, (misled, alone)


def test_a_method_with_results_of_other_tasks_keeps_the_contract() -> None:
    configs = [{**contract.SPACE.sample(np.random.default_rng(i)), "elsewhere": i} for i in range(12)]
    prior = tuple(Observation(config, 1 + i % 3, float(i), f"task {i % 2}") for i, config in enumerate(configs))
    setting = Setting(contract.SPACE, budget=24, max_epochs=9, parallelism=3, prior=prior)
    verify(Method("asha+transfer", "transfer"), [setting], LANDSCAPES[1:2], every=11)
    pool = SearchSpace(
        contract.SPACE.domains,
        contract.SPACE.conditions,
        [contract.SPACE.sample(np.random.default_rng([5, i])) for i in range(9)],
    )
    game = play(Method("asha+transfer", "transfer"), Setting(pool, 200, 4, prior=prior), LANDSCAPES[0])
    assert len(game.configs) == 9


STUDY = """
study: {name}
trainable: curves
space:
  learning_rate: {{type: float, low: 0.0001, high: {high}, log: true}}
  {second}: {{type: choice, values: [16, 32, all]}}
fixed: {fixed}
data: {{task: {task}}}
budget: {{epochs: 12, max_epochs: 2}}
methods: [{method}]
store: {store}
{more}
"""


def study(folder: Path, name: str, more: str = "", **given: str) -> Study:
    said = {"high": "0.1", "second": "layers", "fixed": "{size: 8}", "task": "one", "method": "random", **given}
    text = STUDY.format(name=name, store=folder / "store", more=more, **said)
    (folder / f"{name}.yaml").write_text(text)
    return Study.load(folder / f"{name}.yaml")


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the same task in a wider space, with another batch size, and another task."""
    folder = tmp_path_factory.mktemp("earlier")
    for given in (
        {"name": "wider", "high": "10.0"},
        {"name": "sized", "second": "size", "fixed": "{layers: all}"},
        {"name": "other", "task": "two", "second": "depth"},
    ):
        play_to_the_end(dispatching(study(folder, **given)))
    return folder


def test_a_store_of_several_studies_is_told_apart_by_what_was_trained(earlier: Path) -> None:
    now = study(earlier, "now", more=f"prior: {earlier / 'store'}")
    found = prior_observations(now)
    assert {o.task for o in found} == {None, "wider", "sized", "other"}
    own = [o for o in found if o.task is None]
    assert own
    assert all(o.config in now.space and set(o.config) == {"learning_rate", "layers"} for o in own)
    assert all(float(o.config["learning_rate"]) > 0.1 for o in found if o.task == "wider")
    assert {(o.config["layers"], type(o.config["size"])) for o in found if o.task == "sized"} >= {("all", int)}
    setting = setting_of(now, Method("random", "random"), 0, found)
    assert setting.prior == tuple(own)
    assert len(setting.prior) + len(setting.related) == len(found)


def test_the_study_itself_is_no_earlier_one(earlier: Path) -> None:
    now = study(earlier, "now", more=f"prior: {earlier / 'store'}")
    before = prior_observations(now)
    play_to_the_end(dispatching(now))
    assert prior_observations(now) == before


def test_a_prior_must_share_a_hyperparameter(earlier: Path) -> None:
    text = f"study: far\ntrainable: curves\nspace: {{beta: {{type: float, low: 0, high: 1}}}}\nprior: {earlier / 'store'}\n"
    (earlier / "far.yaml").write_text(text + "budget: {epochs: 4, max_epochs: 2}\nmethods: [random]\n")
    with pytest.raises(StudyError, match=r"at least one hyperparameter of the space \(beta\)"):
        prior_observations(Study.load(earlier / "far.yaml"))


def test_replays_are_told_apart_by_their_names_alone(earlier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = study(earlier, "now", more=f"prior: {earlier / 'store'}")

    def replayed(uri: str, name: str) -> StudyData:
        return replace(read(uri, name), environment={"replay": "curves.parquet"})

    monkeypatch.setattr(recover, "read", replayed)
    assert {o.task for o in prior_observations(now)} == {"wider", "sized", "other"}
    again = now.model_copy(update={"study": "wider"})
    assert None in {o.task for o in prior_observations(again)}


def test_a_study_plays_the_same_again_with_the_results_of_others(earlier: Path) -> None:
    """It is driven as a live one, from the store that it then writes into."""
    told = []
    for folder in ("first", "second"):
        now = study(earlier, "played", method="asha+transfer", more=f"prior: {earlier / 'store'}")
        now = now.model_copy(update={"store": str(earlier / folder)})
        dispatch = Dispatch(now, runs_of(now, prior=prior_observations(now)), writing(now), str(earlier / "kept"), 8)
        play_to_the_end(dispatch)
        told.append(read(now.store).charges.column("trial").to_pylist())
    assert told[0] == told[1]
    assert len(told[0]) == 12
