"""The models of searchers: the Gaussian process beside scikit-learn's, Parzen densities, acquisition functions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.special import ndtri
from scipy.stats import norm, rankdata
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from hpo.methods.searchers.acquisition import NAMES, Utility, acquisition, log_improvement
from hpo.methods.searchers.encoding import features, groups
from hpo.methods.searchers.gaussian_process import JITTER, NOISY, GaussianProcess, main_effects
from hpo.methods.searchers.history import Seen
from hpo.methods.searchers.parzen import Parzen, cubes
from hpo.methods.searchers.targets import agreement, places, standings, values
from hpo.study.space import Choice, Float, Int, SearchSpace

RNG = np.random.default_rng(0)
X = RNG.random((25, 3))
Y = np.sin(5 * X[:, 0]) + X[:, 1] ** 2 + 0.05 * RNG.normal(size=25)
Y = (Y - Y.mean()) / Y.std()


def test_the_process_predicts_what_scikit_learns_does_with_the_same_kernel() -> None:
    process = GaussianProcess(range(3))
    process.fit(X, Y)
    lengths, (a, _, noise) = np.exp(process.theta[:3]), np.exp(process.theta[3:])
    kernel = ConstantKernel(a) * Matern(lengths, nu=2.5) + WhiteKernel(noise)
    theirs = GaussianProcessRegressor(kernel, alpha=JITTER, optimizer=None).fit(X, Y)
    somewhere = RNG.random((40, 3))
    mean, deviation = process.condition(X, Y).predict(somewhere)
    expected, spread = theirs.predict(somewhere, return_std=True)
    np.testing.assert_allclose(mean, expected, atol=1e-8)
    np.testing.assert_allclose(deviation**2, spread**2 - noise, atol=1e-8)


@pytest.mark.parametrize("additive", [False, True])
def test_the_gradient_of_the_process_is_that_of_its_posterior_density(additive: bool) -> None:
    process = GaussianProcess([0, 1, 1], additive=additive)
    main = main_effects(X * process._shares, X * process._shares)
    theta = process._mean + RNG.normal(0, 0.3, 5) + [0, 0, 0, 0, 3]  # with enough noise for numeric slopes
    numeric = approx_fprime(theta, lambda t: process._objective(t, X, Y, main)[0], 1e-6)
    np.testing.assert_allclose(process._objective(theta, X, Y, main)[1], numeric, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("additive", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_the_slopes_of_a_utility_are_those_of_its_values(name: str, additive: bool) -> None:
    process = GaussianProcess(range(3), additive=additive)
    process.fit(X, Y)
    utility = Utility(acquisition(name, best=float(Y.max()), xi=0.1), process.condition(X, Y))
    rows = RNG.random((4, 3))
    numeric = [approx_fprime(row, lambda x: float(utility(x[None])[0]), 1e-6) for row in rows]
    np.testing.assert_allclose(utility.slopes(rows), numeric, rtol=1e-3, atol=1e-3)


def test_what_is_left_out_is_predicted_from_the_others() -> None:
    process = GaussianProcess(range(3))
    process.fit(X, Y)
    left_out = process.condition(X, Y).left_out()
    for i in (0, 7):
        others = np.arange(len(X)) != i
        expected, _ = process.condition(X[others], Y[others]).predict(X[i : i + 1])
        assert left_out[i] == pytest.approx(expected[0])


def test_the_process_finds_which_coordinates_matter() -> None:
    process = GaussianProcess(range(3))
    process.fit(X, Y)
    assert process.theta[2] > max(process.theta[:2]) + 0.5


def test_a_dozen_observations_of_dozens_of_choices_tell_what_each_contributes() -> None:
    space = SearchSpace({f"c{i}": Choice(("a", "b", "c")) for i in range(24)})
    rng = np.random.default_rng(0)
    configs = [space.sample(rng) for _ in range(212)]
    rows = np.array([space.features(c) for c in configs])
    weights = rng.normal(size=space.width)
    y = rows @ weights
    y = (y - y.mean()) / y.std()

    def skill(additive: bool) -> float:
        process = GaussianProcess(groups(space), NOISY, additive)
        process.fit(rows[:12], y[:12])
        return agreement(process.condition(rows[:12], y[:12]).predict(rows[12:])[0], y[12:])

    assert skill(True) > max(0.2, skill(False))


def seen(*curves: list[float]) -> list[Seen]:
    return [Seen({}, curve, not curve) for curve in curves]


def test_values_keep_distances_among_the_best_and_shrink_those_of_the_worst() -> None:
    targets = values(seen([1.0], [2.0], [4.0], [-1e9], []))
    assert (targets[2] - targets[1]) / (targets[1] - targets[0]) == pytest.approx(2.0)
    assert targets[4] < targets[3] < targets[0]
    assert targets[0] - targets[4] < 3.0


def test_values_of_short_trainings_are_those_of_whole_ones_with_their_standing() -> None:
    targets = values(seen([0.1, 0.5], [0.2, 0.6], [0.3, 0.9], [0.25]))
    assert targets[1] < targets[3] < targets[2]


def test_standings_do_not_depend_on_how_far_values_are_apart() -> None:
    np.testing.assert_allclose(standings(seen([1.0], [2.0], [3.0])), standings(seen([1.0], [2.0], [1e9])))


def test_agreement_is_a_rank_correlation() -> None:
    assert agreement(np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0, 11.0])) == pytest.approx(1.0)
    assert agreement(np.array([1.0, 2.0, 3.0]), np.zeros(3)) == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_utility_grows_with_the_predicted_mean(name: str) -> None:
    rate = acquisition(name, best=1.0)
    means = np.array([-50.0, 0.0, 0.5, 1.5, 3.0])
    assert np.all(np.diff(rate(means, np.ones(5))) >= 0)
    assert rate(means, np.ones(5)).shape == (5,)


def test_log_ei_is_the_logarithm_of_ei() -> None:
    means, deviations = RNG.normal(0, 1, 20), RNG.random(20) + 1.0
    np.testing.assert_allclose(
        acquisition("log_ei", 0.4, xi=0.1)(means, deviations), np.log(acquisition("ei", 0.4, xi=0.1)(means, deviations))
    )


SPACE = SearchSpace({"x": Float(0, 1), "c": Choice(("a", "b", "d")), "y": Float(0, 1)}, {"y": {"c": ("b",)}})


@pytest.mark.parametrize("count", [0, 1, 7])
def test_a_parzen_density_integrates_to_one_and_draws_follow_it(count: int) -> None:
    rng = np.random.default_rng(count)
    density = Parzen.fit(SPACE, cubes(SPACE, [SPACE.sample(rng) for _ in range(count)]))
    everywhere = np.exp(density.log_pdf(rng.random((50_000, 3))))
    assert everywhere.mean() == pytest.approx(1.0, abs=0.03)
    drawn = density.draw(rng, 20_000)
    points = np.stack(np.meshgrid(*[(np.arange(12) + 0.5) / 12] * 3, indexing="ij"), -1).reshape(-1, 3)
    expected = np.exp(density.log_pdf(points)).reshape([3, 4] * 3).mean((1, 3, 5))
    found = np.histogramdd(drawn, bins=3, range=[(0, 1)] * 3)[0] / 20_000 * 27
    np.testing.assert_allclose(found, expected, rtol=0.1, atol=0.1)


def test_a_parzen_density_is_high_at_its_points_and_flat_where_they_have_no_value() -> None:
    density = Parzen.fit(SPACE, cubes(SPACE, [{"x": 0.2, "c": "a"}, {"x": 0.25, "c": "a"}]))
    here, there, same = density.log_pdf(np.array([[0.2, 0.1, 0.9], [0.9, 0.9, 0.9], [0.2, 0.1, 0.1]]))
    assert here > there + 1
    assert here == pytest.approx(same)


def test_ten_close_points_have_narrow_kernels_where_coordinates_are_few_and_wide_ones_where_they_are_many() -> None:
    for d, narrowest in ((2, 12 ** -(1 + 4 / 6)), (31, 12 ** -(1 + 4 / 35))):
        space = SearchSpace({f"x{i}": Float(0.0, 1.0) for i in range(d)})
        density = Parzen.fit(space, np.full((10, d), 0.5))
        np.testing.assert_allclose(density.deviations[:10], narrowest)


def test_the_features_of_many_points_are_those_of_each() -> None:
    space = SearchSpace(
        {
            "rate": Float(1e-4, 0.1, log=True), "dropout": Float(0.0, 0.5, step=0.1), "units": Int(4, 512, log=True),
            "layers": Int(0, 12, step=3), "kind": Choice(("a", "b", 3, True)), "momentum": Float(0.5, 0.99),
            "warmup": Int(1, 5), "one": Float(2.0, 2.0),
        },
        {
            "momentum": {"kind": ("b", True)}, "warmup": {"momentum": (0.5, 0.99), "layers": (3, 6)},
            "one": {"dropout": (0.0, 0.2)},
        },
    )  # fmt: skip
    points = RNG.random((300, 8))
    points[:200] = np.where(RNG.random((200, 8)) < 0.3, np.round(points[:200]), points[:200])  # some at the ends
    expected = [space.features(space.decode(point)) for point in points]
    np.testing.assert_allclose(features(space, points), expected, atol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 17, 300])
def test_normal_scores_and_improvements_are_those_of_scipys_statistics_to_the_bit(count):
    rng = np.random.default_rng(count)
    drawn = rng.normal(size=count).round(1)
    expected = rankdata(drawn)
    assert np.array_equal(places(drawn), expected)
    assert np.array_equal(ndtri((expected - 0.5) / count), norm.ppf((expected - 0.5) / count))
    z = 10 * rng.normal(size=count)
    near, far = np.maximum(z, -5.0), np.minimum(z, -5.0)
    expected = np.where(z > -5.0, np.log(norm.pdf(near) + near * norm.cdf(near)), norm.logpdf(far) - 2 * np.log(-far))
    assert np.array_equal(log_improvement(z), expected)
