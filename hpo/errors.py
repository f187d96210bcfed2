"""The root of every error of ours, and the errors that belong to no single package. Imports nothing.

An error of ours is one sentence for a user: what must hold, what was found, what to do. Any other exception is a bug.
"""

from __future__ import annotations

EXTRAS = {
    "torch": "torch",
    "torchvision": "torch",
    "safetensors": "torch",
    "timm": "timm",
    "boto3": "s3",
    "botocore": "s3",
    "optuna": "optuna",
    "onnxruntime": "yahpo",
    "h5py": "hdf5",
    "lightning": "lightning",
    "transformers": "huggingface",
    "accelerate": "huggingface",
}
"""The extra of pyproject.toml that brings a module that not everybody needs."""


def how_to_install(extra: str) -> str:
    """Returns the command that installs an extra."""
    return f"pip install 'hpo-arena[{extra}]'"


class HpoError(Exception):
    """An error of ours: the command line prints its sentence and exits with `exit_code`; a notebook shows the sentence."""

    exit_code: int = 2

    def _render_traceback_(self) -> list[str]:
        """Returns what IPython shows instead of a traceback through this project's code."""
        return [f"{type(self).__name__}: {self}"]


class MissingExtra(HpoError):
    """A feature needs a package that comes with an extra of this project, and this Python lacks it."""

    @classmethod
    def behind(cls, error: ImportError) -> MissingExtra | None:
        """Returns the sentence for a failed import: which extra to install. None if no extra brings the module."""
        module = (error.name or "").partition(".")[0]
        extra = EXTRAS.get(module)
        return None if extra is None else cls(f"{module} must be installed, but is not: {how_to_install(extra)}")


class StudyError(HpoError):
    """A study that cannot be played as written: one sentence, with file, line and column where they are known.

    `others`: what else is wrong with it, in the same form, where one look told more than one thing.
    """

    def __init__(self, sentence: str, others: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.others = others


class StudyFailed(HpoError):
    """A study that cannot go on: one sentence with the reason and what to do."""

    exit_code = 1


class InterruptedStudy(HpoError):
    """A study that was asked to stop; the sentence says how to continue."""

    exit_code = 130
