"""Freeze-thaw search: the model of learning curves, and `multifidelity`, which it leads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.game.contract import Landscape, play
from hpo.methods import build
from hpo.methods.protocol import InvalidOption, Setting
from hpo.methods.searchers.acquisition import log_improvement
from hpo.methods.whole.curve_model import CurveModel, Curves, Forecast, Shape
from hpo.study.space import Choice, Config, Float, SearchSpace
from hpo.study.values import Method

TUNING = SearchSpace(
    {
        "learning_rate": Float(1e-5, 0.1, log=True),
        "batch_size": Choice((16, 32, 64)),
        "finetuned_layers": Choice((9, 14, 18, "all")),
        "dropout": Float(0.0, 0.5),
    }
)


LEVELS = [1, 2, 4, 8, 16]
SHAPE = Shape(power=1.0, gain=1.0, spread=0.5, noise=0.003)


def drawn(count: int, seed: int, halted: int = 0) -> tuple[Curves, np.ndarray]:
    """Draws curves of the model's kind; returns them, the last `halted` of them known at two levels, and all ends [count]."""
    rng = np.random.default_rng(seed)
    x, t = rng.random((count, 2)), np.array(LEVELS, dtype=float)
    asymptotes = np.sin(4 * x[:, 0]) + 0.5 * x[:, 1] + 0.2 * rng.normal(size=count)
    lower = np.linalg.cholesky(SHAPE.covariance(t, t) + SHAPE.noise * np.eye(len(t)))
    y = asymptotes[:, None] + SHAPE.mean(t) + rng.normal(size=(count, len(t))) @ lower.T
    known = np.where(np.arange(count) < count - halted, len(t), 2)
    hidden = np.where(np.arange(len(t)) < known[:, None], y, np.nan)
    return Curves(x, hidden, known, np.zeros(count, dtype=bool)), y[:, -1]


def test_the_curve_model_predicts_ends_from_beginnings() -> None:
    """From 40 whole and 30 begun curves: closer to the begun ones' ends than from their configurations alone, and surer."""
    curves, ends = drawn(70, 0, halted=30)
    model = CurveModel(2, LEVELS)
    model.fit(curves)
    forecast = Forecast(model, curves)
    begun, deviation = (found[40:] for found in forecast.begun(16))
    whole = Forecast(model, curves.first(40))
    unseen, wider = whole.new(curves.x[40:], 16)
    assert np.abs(begun - ends[40:]).mean() < 0.8 * np.abs(unseen - ends[40:]).mean()
    assert (deviation < wider).all()
    assert (np.abs(begun - ends[40:]) < 2 * deviation).mean() > 0.8


def test_a_trial_under_way_makes_its_surroundings_less_uncertain_and_changes_no_mean() -> None:
    curves, _ = drawn(12, 1)
    last = Curves(curves.x, curves.y, np.where(np.arange(12) < 11, 5, 0), curves.failed)
    model = CurveModel(2, LEVELS)
    near = curves.x[11:] + 0.01
    with_it, without = Forecast(model, last).new(near, 16), Forecast(model, curves.first(11)).new(near, 16)
    assert with_it[0] == pytest.approx(without[0])
    assert with_it[1] < without[1]


def test_the_gradient_of_the_curve_model_is_that_of_its_posterior() -> None:
    curves, y = drawn(20, 1)
    model = CurveModel(2, LEVELS)
    squared = (curves.x[:, None] - curves.x[None]) ** 2
    rest = (np.arange(2), squared, y, np.linspace(0.01, 1.0, 20))
    theta = model.theta + np.linspace(-0.3, 0.3, len(model.theta))
    _, gradient = model._objective(theta, *rest)
    for i, step in enumerate(1e-6 * np.eye(len(theta))):
        numeric = (model._objective(theta + step, *rest)[0] - model._objective(theta - step, *rest)[0]) / 2e-6
        assert gradient[i] == pytest.approx(numeric, rel=1e-3, abs=1e-4)


@given(st.floats(-30, 8))
def test_log_improvement_is_finite_and_grows(z: float) -> None:
    low, high = log_improvement(np.array([z, z + 0.1]))
    assert np.isfinite(low)
    assert low < high


def test_multifidelity_trains_several_to_the_end_and_among_them_a_good_one() -> None:
    game = play(Method("multifidelity", "m"), Setting(TUNING, 300, 16, parallelism=2, seed=2), Landscape(seed=1))
    ends = {t.number: t.epochs for t in game.run.trials}
    rng = np.random.default_rng(0)
    values = [Landscape(seed=1).value(TUNING, TUNING.sample(rng), 16, 16) or 0.0 for _ in range(300)]
    assert len(ends) > 30
    assert 3 <= sum(epochs == 16 for epochs in ends.values()) <= 14
    assert game.run.incumbent is not None
    assert game.run.incumbent.value > np.quantile(values, 0.9)


@pytest.mark.parametrize("value", [lambda c, e: 0.0, lambda c, e: -1e300 * e, lambda c, e: float(e % 2)])
def test_multifidelity_locks_up_on_no_curves(value: Callable[[Config, int], float]) -> None:
    """Equal curves, falling ones beyond any scale, and zigzags: some trials are new to the end, and some are trained whole."""
    schedule = build(Method("multifidelity", "m"), Setting(TUNING, 400, 16, seed=3))
    stops: list[tuple[int, int]] = []
    while sum(stop - start for start, stop in stops) < 400:
        segment = schedule.next_segment()
        assert segment is not None
        stops.append((segment.start, segment.stop))
        for epoch in range(segment.start + 1, segment.stop + 1):
            schedule.on_epoch(segment.trial, epoch, value(segment.config, epoch))
    assert sum(stop == 16 for _, stop in stops) >= 2
    late = stops[len(stops) // 2 :]
    assert 0.04 < sum(start == 0 for start, _ in late) / len(late) < 0.95


def test_multifidelity_prefers_cheap_configurations_if_asked_to() -> None:
    """Of two choices that train equally well, the one at a tenth of the cost is started more often."""
    space = SearchSpace({"x": Float(0.0, 1.0), "model": Choice(("small", "large"))})
    cost = {"small": 1.0, "large": 10.0}

    def share(aware: bool) -> float:
        setting = Setting(space, 200, 9, seed=1, epoch_cost=lambda config: cost[str(config["model"])])
        schedule = build(Method("multifidelity", "m", {"cost_aware": aware}), setting)
        for _ in range(80):
            segment = schedule.next_segment()
            assert segment is not None
            for epoch in range(segment.start + 1, segment.stop + 1):
                schedule.on_epoch(segment.trial, epoch, 1 - abs(float(segment.config["x"]) - 0.3) - 0.5**epoch)
            names.append(str(segment.config["model"]))
        found = names.count("small") / len(names)
        names.clear()
        return found

    names: list[str] = []
    assert share(True) > 0.65
    assert share(True) > share(False) + 0.1


def test_multifidelity_without_levels_is_bayesian() -> None:
    setting = Setting(TUNING, 12, 1, seed=5)
    first, second = (play(Method(name, name), setting, Landscape()) for name in ("multifidelity", "bayesian"))
    assert first.configs == second.configs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"initial": 0}, "initial >= 1"),
        ({"random_fraction": 2}, "random_fraction must be a number"),
        ({"cost_aware": "yes"}, "cost_aware must be true or false"),
        ({"eta": 1}, "eta >= 2"),
    ],
)
def test_multifidelity_refuses(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        build(Method("multifidelity", "m", options), Setting(TUNING, 60, 9))
    assert message in str(caught.value)
