"""The catalogues of what a study may name: `hpo methods`, `hpo models`, `hpo datasets`, `hpo studies`."""

from __future__ import annotations

from typing import Annotated

import typer

from hpo.cli.completing import a_model
from hpo.cli.lines import shown
from hpo.study.study import presets

HANGING = 24  # most cells before what goes on below


def _list(rows: list[tuple[str, str]]) -> None:
    width = max((len(name) for name, _ in rows), default=0)
    for name, about in rows:
        print(shown(f"{name:<{width}}  {about}".rstrip(), indent=min(width + 2, HANGING)))


def methods() -> None:
    """List the methods that a study may name."""
    from hpo.methods import describe

    _list(describe())


def models(
    name: Annotated[str | None, typer.Argument(help="A backbone, to list its layers.", autocompletion=a_model)] = None,
) -> None:
    """List the backbones that a study may name, or one's layers as `finetuned_layers` numbers them."""
    from trainables import backbones, network

    if name is None:
        for model in backbones.names():
            print(model)
        return
    for layer in network.describe(name):
        print(f"{layer.number:4}  {layer.kind:13}  {layer.parameters:9,}  {layer.name}")


def datasets() -> None:
    """List the data sets that a study may name."""
    from trainables import data

    _list(data.names())


def studies() -> None:
    """List the studies that come with the package."""
    rows = []
    for name, path in presets().items():
        first = next((line[1:].strip() for line in path.read_text().splitlines() if line.startswith("#")), "")
        rows.append((name, first))
    _list(rows)
