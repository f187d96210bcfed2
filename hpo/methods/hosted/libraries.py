"""The libraries that can be hosted, and the methods that they bring to a study. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpo.methods.protocol import InvalidOption
from hpo.text import nearest, shown


@dataclass(frozen=True)
class Library:
    """A library that can be hosted.

    `name`: of its environment, as in `hpo host add NAME`; `package`: its distribution; `module`: what is imported;
    `guest`: the file in guests/ that drives it; `pins`: the requirements that `hpo host add` installs.
    """

    name: str
    package: str
    module: str
    guest: str
    pins: tuple[str, ...]
    alone: tuple[str, ...] = ()  # requirements that are installed without what they depend on

    @property
    def pin(self) -> str:
        """The pinned version of the library itself."""
        pins = dict(pin.split("==") for pin in (*self.pins, *self.alone))
        return pins[self.package]


TORCH = "torch==2.13.0"
HEBO = (  # with what its own requirements would choose, pip does not come to an end
    "numpy==1.24.4", "scipy==1.11.4", "pandas==2.0.3", TORCH, "gpytorch==1.13", "pymoo==0.6.0", "scikit-learn==1.3.2",
    "catboost==1.2.8", "disjoint-set==0.8.0",
)  # fmt: skip

LIBRARIES: dict[str, Library] = {
    library.name: library
    for library in (
        Library("optuna", "optuna", "optuna", "optuna", ("optuna==5.0.0", "cmaes==0.13.1", "scipy==1.17.1", TORCH)),
        Library("optunahub", "optunahub", "optunahub", "optunahub", ("optunahub==0.5.0", "optuna==5.0.0")),
        Library(
            "syne-tune",
            "syne-tune",
            "syne_tune",
            "syne_tune",
            ("syne-tune==0.16.0", "botorch==0.12.0", "huggingface_hub==0.36.0", TORCH),
        ),
        Library("smac", "smac", "smac", "smac", ("smac==2.4.1",)),
        Library("hebo", "HEBO", "hebo", "hebo", HEBO, alone=("HEBO==0.3.6",)),
        Library("neps", "neural-pipeline-search", "neps", "neps", ("neural-pipeline-search==0.17.0", TORCH)),
        Library("hyperopt", "hyperopt", "hyperopt", "hyperopt", ("hyperopt==0.3.0",)),
        Library(
            "hpbandster",
            "hpbandster",
            "hpbandster",
            "hpbandster",
            ("hpbandster==0.7.4", "ConfigSpace==0.7.1", "numpy==1.26.4"),
        ),
    )
}
"""The libraries by name."""


@dataclass(frozen=True)
class Hosting:
    """A method that libraries bring: `hosts` is the library by the option `name`, or "" for any."""

    about: str
    hosts: Mapping[str, str]

    def library(self, method: str, name: object) -> Library:
        """Returns the library of the method, of this `name`."""
        found = self.hosts.get("") or self.hosts.get(str(name))
        if found is None:
            raise InvalidOption(
                f"{method} must name one of {', '.join(self.hosts)}, but got {shown(name)}; {nearest(str(name), self.hosts)}"
            )
        return LIBRARIES[found]


HOSTED: dict[str, Hosting] = {
    "optuna": Hosting("Optuna's samplers and pruners, such as {sampler: GPSampler, pruner: HyperbandPruner}", {"": "optuna"}),
    "optunahub": Hosting("a sampler of OptunaHub by its package", {"": "optunahub"}),
    "syne-tune": Hosting("a baseline of Syne Tune by name, such as ASHA, BOHB, CQR or BORE", {"": "syne-tune"}),
    "smac": Hosting("SMAC's facades, such as {facade: MultiFidelityFacade}", {"": "smac"}),
    "neps": Hosting("NePS: priorband, ifbo and others by name", {"": "neps"}),
    "hebo": Hosting("HEBO, heteroscedastic evolutionary Bayesian optimization", {"": "hebo"}),
    "ray-tune": Hosting(
        "the libraries below Ray Tune's searchers: hyperopt or bohb", {"hyperopt": "hyperopt", "bohb": "hpbandster"}
    ),
}  # fmt: skip
"""The methods of other libraries by the name that a study gives them."""
