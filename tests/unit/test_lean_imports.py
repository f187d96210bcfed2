"""What is imported only where it is used: a user waits for every import, on every worker."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

OPTIMIZERS = """
import sys, torch
from trainables import uncompiled
from trainables.vision import torchvision

def trained(kind):
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(50))
    optimizer = kind([weight], lr=0.01)
    for _ in range(5):
        optimizer.zero_grad()
        (weight ** 2).sum().backward()
        optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    return weight.detach().clone()

kinds = [torch.optim.Adadelta, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.SGD]
before = [trained(kind) for kind in kinds]
images = torch.zeros(2, 3, 32, 32)
torchvision.models.get_model("mobilenet_v2").eval()(images)
torchvision.transforms.v2.RandomHorizontalFlip()(images)
print("torch._dynamo" in sys.modules, "sympy" in sys.modules)
import torch._dynamo
print(all(torch.equal(one, two) for one, two in zip(before, [trained(kind) for kind in kinds])))
print(torch.compile(lambda x: x + 1, backend="eager")(torch.zeros(1)).item())
print(torchvision.ops.roi_align(torch.ones(1, 1, 4, 4), torch.tensor([[0.0, 0, 0, 2, 2]]), 1).item())
"""


DEMONSTRATION = """
import sys
from trainables.image_classifier import ImageClassifier
task = {"data": {"name": "digits", "train": 30, "validation": 50, "test": 50, "seed": 0},
        "model": {"name": "digits_net", "weights": "DEFAULT"}}
made = ImageClassifier({"learning_rate": 0.001, "batch_size": 8, "image_size": 32, "finetuned_layers": 4}, task=task,
                       seed=0, max_epochs=8)
made.train_epoch()
print(*sys.modules, sep="\\n")
"""


def said(code: str) -> list[str]:
    """Returns the lines that a fresh interpreter prints."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_training_does_not_import_torchs_compiler_and_computes_the_same_as_with_it() -> None:
    assert said(OPTIMIZERS) == ["False False", "True", "1.0", "1.0"]


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("hpo", ("ray", "torch", "numpy", "pydantic", "pyarrow", "yaml", "ruamel", "typer", "rich", "dataclasses")),
        ("hpo.api.study", ("ray", "torch", "scipy", "sklearn", "pandas", "matplotlib", "pyarrow")),
        ("hpo.client", ("ray", "torch", "scipy", "sklearn", "pandas", "matplotlib", "pyarrow", "fastapi", "uvicorn")),
        ("hpo.cli.remote.app", ("ray", "torch", "scipy", "sklearn", "pandas", "matplotlib", "httpx", "fastapi")),
        ("hpo.api.plots", ("ray", "torch", "matplotlib", "sklearn", "pandas")),
        ("hpo.report.figure", ("matplotlib.pyplot",)),
        ("hpo.cli.app", ("ray", "torch", "scipy", "sklearn", "pandas", "matplotlib", "pyarrow", "boto3")),
        ("hpo.live.session", ("ray", "torch", "scipy.stats", "sklearn", "pandas", "matplotlib")),
        ("hpo.report.comparison_tables", ("ray", "torch", "scipy.stats", "sklearn", "matplotlib")),
        ("hpo.results.importance", ("ray", "torch", "scipy.stats", "sklearn", "matplotlib")),
        ("hpo.live.tune.worker", ("ray.tune", "torch", "scipy", "sklearn", "pandas", "pyarrow", "hpo.study.study")),
        ("hpo.methods.searchers.bayesian", ("ray", "scipy.stats", "sklearn", "pandas")),
        ("trainables.curves", ("ray", "torch", "scipy", "sklearn", "pandas")),
        ("trainables.mlp", ("ray", "torchvision", "torch._dynamo", "scipy", "sklearn", "pandas")),
        ("trainables.image_classifier", ("ray", "torch._dynamo", "sympy", "scipy", "sklearn", "pandas")),
    ],
)
def test_a_module_imports_none_of_the_heavy_packages(module: str, heavy: tuple[str, ...]) -> None:
    loaded = set(said(f"import sys, {module}; print(*sys.modules, sep='\\n')"))
    assert loaded.isdisjoint(heavy), sorted(loaded.intersection(heavy))


def test_a_worker_trains_the_demonstration_without_what_takes_seconds_to_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPO_CACHE", str(tmp_path))  # it decodes the digits, too
    heavy = {"torch._dynamo", "sympy", "sklearn", "scipy", "pandas", "ray"}
    loaded = set(said(DEMONSTRATION))
    assert loaded.isdisjoint(heavy), sorted(loaded.intersection(heavy))
