"""Published default configurations, trained without search: the baseline that every method must beat. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping

from hpo.methods.protocol import InvalidOption, Setting
from hpo.methods.schedules.full import Full
from hpo.study.space import Choice, Config, Domain, Int, SearchSpace, Value, same
from hpo.study.values import digest

LAYERS = "finetuned_layers"
FROZEN, UNFROZEN = "fewest", "most"  # of the layers that the space offers

PUBLISHED: tuple[Mapping[str, Value], ...] = (
    # Migayo et al. 2023 (paper 000), the defaults of its study and Table 4: batch size, frozen and unfrozen rates.
    {"batch_size": 32, "learning_rate": 1e-3, LAYERS: FROZEN, "optimizer": "adam", "dropout": 0.5},
    {"batch_size": 32, "learning_rate": 1e-4, LAYERS: UNFROZEN, "optimizer": "adam", "dropout": 0.5},
    {"batch_size": 16, "learning_rate": 1e-4, LAYERS: FROZEN, "optimizer": "adam", "dropout": 0.5},
    {"batch_size": 16, "learning_rate": 1e-5, LAYERS: UNFROZEN, "optimizer": "adam", "dropout": 0.5},
    {"batch_size": 64, "learning_rate": 1e-2, LAYERS: FROZEN, "optimizer": "adam", "dropout": 0.5},
    {"batch_size": 64, "learning_rate": 1e-3, LAYERS: UNFROZEN, "optimizer": "adam", "dropout": 0.5},
    # The same paper's study of optimizers (Table 5): rate 0.001, batch 32.
    {"batch_size": 32, "learning_rate": 1e-3, LAYERS: FROZEN, "optimizer": "sgd", "momentum": 0.9, "dropout": 0.5},
    {"batch_size": 32, "learning_rate": 1e-3, LAYERS: FROZEN, "optimizer": "rmsprop", "dropout": 0.5},
    # Kingma and Ba 2015, Adam's own defaults (beta_1, beta_2, epsilon), with everything trained.
    {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "optimizer": "adam", LAYERS: UNFROZEN},
    # Keras' guide to transfer learning: the head at Adam's rate with dropout 0.2, then everything at 1e-5.
    {"learning_rate": 1e-3, "optimizer": "adam", "dropout": 0.2, "batch_size": 64, LAYERS: FROZEN},
    {"learning_rate": 1e-5, "optimizer": "adam", "dropout": 0.2, "batch_size": 64, LAYERS: UNFROZEN},
    # He et al. 2016: SGD from 0.1 with momentum 0.9 and weight decay 1e-4; Wojciuk et al. 2024's dropout of the grid.
    {"learning_rate": 0.1, "optimizer": "sgd", "momentum": 0.9, "weight_decay": 1e-4, "dropout": 0.2, LAYERS: UNFROZEN},
)


def ordered_layers(domain: Domain) -> list[Value]:
    """Returns the numbers of trained layers that a domain offers, the fewest first; words such as "all" come last."""
    values = list(domain.options) if isinstance(domain, Choice) else list(domain.values(1_000))
    return [*sorted(v for v in values if not isinstance(v, str)), *(v for v in values if isinstance(v, str))]


def nearest_value(domain: Domain, wanted: Value) -> Value:
    """Returns the domain's value nearest to a published one; its first option for a word that it does not have."""
    if wanted in (FROZEN, UNFROZEN) and not domain.contains(wanted):
        return ordered_layers(domain)[0 if wanted == FROZEN else -1]
    if not isinstance(domain, Choice):
        if isinstance(wanted, str):
            return domain.decode(0.5)
        step = domain.step or (1 if isinstance(domain, Int) else 0)
        on_step = domain.low + round((wanted - domain.low) / step) * step if step else wanted
        return domain.decode(domain.encode(min(max(on_step, domain.low), domain.high)))
    numbers = [o for o in domain.options if not isinstance(o, str) and o > 0]
    if domain.contains(wanted):
        return domain.options[domain.index(wanted)]
    if isinstance(wanted, str) or not numbers or not wanted > 0:
        return domain.options[0]
    return min(numbers, key=lambda option: abs(math.log(float(option) / float(wanted))))


def in_space(space: SearchSpace, published: Mapping[str, Value]) -> dict[str, Value]:
    """Returns the space's configuration nearest to a published one.

    A hyperparameter that the published one does not name takes the middle of its range, or its first option. With a pool,
    the nearest candidate counts.
    """
    config: dict[str, Value] = {}
    for name, domain in space.domains.items():
        if space.active(name, config):
            first = domain.options[0] if isinstance(domain, Choice) else domain.decode(0.5)
            config[name] = nearest_value(domain, published[name]) if name in published else first
    return space.nearest(config)


def conflicts(published: Mapping[str, Value], fixed: Mapping[str, Value]) -> int:
    """Counts the fixed hyperparameters that have another value in a published configuration."""
    return sum(name in published and not same(published[name], value) for name, value in fixed.items())


class Published:
    """A searcher that suggests the published configurations, then all combinations of their values, each once."""

    oblivious = True
    expensive = False

    def __init__(self, setting: Setting) -> None:
        known = {name for published in PUBLISHED for name in published}
        if not known & set(setting.space.names):
            raise InvalidOption(
                f"default needs a hyperparameter with published values ({', '.join(sorted(known))}), "
                f"but the space has only {', '.join(setting.space.names)}"
            )
        self._setting = setting
        self._configs = self._each_once()

    def _each_once(self) -> Iterator[Config]:
        seen: set[str] = set()
        for config in itertools.chain(self._setting.start, self._published(), self._combined()):
            key = digest(dict(config))
            if key not in seen:
                seen.add(key)
                yield config

    def _published(self) -> Iterator[Config]:
        """Yields the published configurations, first those that agree with what the study fixes."""
        for published in sorted(PUBLISHED, key=lambda published: conflicts(published, self._setting.fixed)):
            yield in_space(self._setting.space, published)

    def _combined(self) -> Iterator[Config]:
        space = self._setting.space
        values = {
            name: list(dict.fromkeys(published[name] for published in PUBLISHED if name in published))
            for name in space.names
        }
        named = {name: found for name, found in values.items() if found}
        for combination in itertools.product(*named.values()):
            yield in_space(space, dict(zip(named, combination, strict=True)))

    def suggest(self) -> Config | None:
        return next(self._configs, None)

    def observe(self, config: Config, epoch: int, value: float) -> None:
        """Learns nothing."""

    def fail(self, config: Config) -> None:
        """Learns nothing."""

    def close(self, config: Config) -> None:
        """Learns nothing."""


class Default(Full):
    """Trains published defaults to the end, each moved to the nearest values of the space.

    Paper 000's pairs and other published configurations (PUBLISHED) come first, those that agree with the study's `fixed`
    before the others. All combinations of their values follow, so that the method uses the same budget as every other;
    the run ends after the last. Option: max_epochs (R).
    """

    def __init__(self, setting: Setting, *, max_epochs: int | None = None) -> None:
        super().__init__(setting, Published(setting), max_epochs=max_epochs)
