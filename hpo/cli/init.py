"""`hpo init`: writes a commented study for a folder of images, for an objective of Optuna, or for digits that come along."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Annotated

import typer

from hpo.cli.options import check_output, errors, writing
from hpo.errors import HpoError
from hpo.files import create_whole, expanded
from hpo.study import proposal
from hpo.text import encodable, shown

HEAD = """\
# {title}
# Written by `hpo init`. Every value is a proposal: change what you like, then
#   hpo check {file}           prints the plan; trains nothing
#   hpo run {file} --seeds 0   a first look
#   hpo run {file}             the rest; nothing is trained twice
"""


FolderArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="FOLDER",
        help="A folder with one folder of images per class, or with train, validation and test folders of such "
        "(default: the handwritten digits that come with the package).",
    ),
]
FileOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="The study file (default: NAME.yaml, here).")
]
WeightsOption = Annotated[
    str,
    typer.Option(
        metavar="FILE", help="Pretrained weights of the proposed model (default: download them).", show_default=False
    ),
]
ObjectiveOption = Annotated[
    str | None,
    typer.Option(
        "--optuna",
        metavar="MODULE:NAME",
        help="An objective of Optuna instead of images: it is called once for each branch, to find its space.",
        show_default=False,
    ),
]


def init(
    folder: FolderArgument = None,
    output: FileOption = None,
    weights: WeightsOption = "DEFAULT",
    objective: ObjectiveOption = None,
) -> None:
    """Write a commented study file for your folder of images, or for an objective of Optuna."""
    given = "my-digits" if folder is None else _name(folder)
    name = given if objective is None else re.sub(r"[^A-Za-z0-9._-]+", "-", objective).strip("._-")
    path = output or Path(f"{name}.yaml")
    _check_new(path)
    if objective is not None:
        if folder is not None or weights != "DEFAULT":
            raise HpoError("--optuna excludes a FOLDER of images and --weights, but got both; leave one out")
        title, parts = "Which method tunes your objective best?", _objective(name, objective)
    elif folder is None:
        if weights != "DEFAULT":
            raise HpoError("--weights needs a FOLDER of images, but there is none; name the folder")
        title, parts = "Which method tunes a network best for handwritten digits?", proposal.for_digits(name)
    else:
        _check_weights(weights)
        images = _counted(folder, path)
        title = "Which method tunes a network best for your images?"
        parts = proposal.for_images(name, images, _beside(weights, path))
    text = proposal.text(HEAD.format(title=title, file=shlex.quote(str(path))), parts)
    with writing("--output", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not create_whole(path, text.encode()):
            _check_new(path)
    print(path)
    quoted = shlex.quote(str(path))
    errors.print(f"next: hpo check {quoted}; hpo run {quoted} --seeds 0")


def _objective(name: str, objective: str) -> list[proposal.Part]:
    """Calls an objective of Optuna to find its space. Raises HpoError where there is none."""
    from hpo.study.objective_proposal import for_objective
    from trainables import load

    if ":" not in objective:
        raise HpoError(f"--optuna must be package.module:objective, but got {shown(objective)}; name the module too")
    trainable = f"optuna:{objective}"
    found = load(trainable)  # says which extra is missing, too
    from trainables.adapters.optuna_space import space_of

    seen = space_of(found.objective)
    for remark in seen.remarks:
        errors.print(f"note: {encodable(remark)}")
    return for_objective(name, trainable, seen)


def _check_new(path: Path) -> None:
    """Raises HpoError for a study file that exists, or cannot be written."""
    if path.suffix not in (".yaml", ".yml"):
        raise HpoError(f"--output must end in .yaml or .yml, but got {path}; rename it")
    if str(path) != encodable(str(path)):
        raise HpoError(f"--output must be text in UTF-8, but got {encodable(str(path))}; rename it")
    if path.is_symlink() or path.is_file():
        raise HpoError(f"{path} must not exist yet, but it does; delete it, or name another file with --output")
    check_output(path)


def _check_weights(weights: str) -> None:
    """Raises HpoError for a file of weights that is not there."""
    if "://" not in weights and ("/" in weights or "." in weights) and not expanded(weights).is_file():
        raise HpoError(f"--weights must name a file that exists, but there is none at {weights}; name another")


def _name(folder: Path) -> str:
    """Returns a name for the study of a folder: the folder's, in the letters that a study's name may have."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", expanded(folder).resolve().name)
    return name.strip("._-") or "images"


def _counted(folder: Path, output: Path) -> proposal.Images:
    """Counts the folder's images and this machine's GPUs. Raises HpoError for what is no folder of images."""
    from cluster.probe import gpu_memory
    from trainables.census import count

    where = expanded(folder)
    if str(where) != encodable(str(where)):
        raise HpoError(f"FOLDER must be text in UTF-8, but got {encodable(str(where))}; rename it")
    if not where.is_dir():
        raise HpoError(f"FOLDER must be a folder of images, but {where} {_instead(where)}; name another")
    try:
        found = count(where)
    except OSError as error:
        raise HpoError(f"FOLDER must be readable, but {error.filename} is not: {error.strerror}") from None
    for remark in found.remarks:
        errors.print(f"note: {encodable(remark)}")
    return proposal.Images(_beside(str(folder), output), found, len(gpu_memory()))


def _instead(path: Path) -> str:
    return "is a file" if path.exists() else "does not exist"


def _beside(given: str, output: Path) -> str:
    """Returns a path as the study file names it: relative ones start at the file's folder."""
    if "://" in given or given in ("DEFAULT", "none") or given.startswith("~") or os.path.isabs(given):
        return given
    start, path = output.absolute().parent, Path(given).absolute()
    found = Path(os.path.relpath(path, start)).as_posix()
    return found if "/" in found else f"./{found}"
