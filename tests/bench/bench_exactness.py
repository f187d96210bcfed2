"""Kept activations compared with whole passes: the largest difference of a metric at every number of layers.

    python tests/bench/bench_exactness.py [--quick] [--json FILE] [--models mobilenet_v2 ...]

Each model is trained for two epochs from the same weights, with and without kept activations of the frozen part, for
every value of finetuned_layers; with --quick for 0, 9, half, all but one, and all.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from reuse import NETWORKS, curves, farthest
from rows import Row, command, row, tell

MILLION, BAR = 1e6, 10  # differences are in millionths


def main(quick: bool = False, models: Sequence[str] = tuple(NETWORKS)) -> list[Row]:
    """Returns the bench's rows."""
    torch.set_num_threads(1)
    found = []
    for name in models:
        size, _, layers = NETWORKS[name]
        counts = [0, 9, layers // 2, layers - 1, None] if quick else [*range(layers + 1), None]
        with tempfile.TemporaryDirectory() as cache:
            os.environ |= {"HPO_CACHE": cache, "HPO_ACTIVATIONS_MEMORY": "0"}  # nothing stays in shared memory
            differences = [farthest(kept, anew) for _, kept, anew in curves(name, counts)]
        what = f"kept activations / whole passes, {name}, {size} px, {len(counts)} values of finetuned_layers"
        differing = sum(difference > 0 for difference in differences)
        found.append(row(f"{what}: largest difference", [max(differences) * MILLION], "millionths", f"at most {BAR}"))
        found.append(row(f"{what}: values that differ at all", [differing], "count"))
        print(f"{name}: {statistics.median(differences):.1e} in the median", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    parser = command(__doc__)
    parser.add_argument("--models", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    given = parser.parse_args()
    tell(main(given.quick, given.models), given.json)
