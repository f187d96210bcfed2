"""What a notebook needs of a study that it runs. Writes nothing."""

from __future__ import annotations

import logging
import sys
import warnings


def in_notebook() -> bool:
    """Tells whether a Jupyter kernel runs this process."""
    shell = sys.modules.get("IPython")
    found = shell.get_ipython() if shell is not None else None
    return found is not None and getattr(found, "kernel", None) is not None


def silence() -> None:
    """Keeps Ray and tqdm from asking for a library of widgets, before they are imported: the progress here needs none."""
    logging.getLogger("ray.widgets").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="IProgress not found")
