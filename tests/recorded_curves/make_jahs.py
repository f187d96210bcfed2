"""Makes tests/recorded_curves/jahs: a few rows in the layout of JAHS-Bench-201's metric_data, with made-up values.

python tests/recorded_curves/make_jahs.py      (with pandas 1, as the published files were)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

FOLDER = Path(__file__).parent / "jahs" / "cifar10"
EPOCHS, SPLIT = 4, {"train_set": (0, 16), "valid_set": (16, 20), "test_set": (20, 24)}


def main() -> None:
    rng = np.random.default_rng(0)
    features, labels = [], []
    for number in range(6):
        config = {
            "Activation": ["ReLU", "Hardswish", "Mish"][number % 3],
            "LearningRate": float(10 ** rng.uniform(-3, 0)),
            "N": (1, 3, 5)[number % 3],
            **{f"Op{i}": int(rng.integers(5)) for i in range(1, 7)},
            "Optimizer": "SGD",
            "Resolution": (0.25, 0.5, 1.0)[number % 3],
            "TrivialAugment": number % 2 == 0,
            "W": (4, 8, 16)[number % 3],
            "WeightDecay": float(10 ** rng.uniform(-5, -2)),
        }
        for epoch in range(1, EPOCHS + 1):
            features.append({**config, "epoch": epoch})
            labels.append(
                {"valid-acc": 50.0 + number + epoch, "test-acc": 49.0 + number + epoch, "runtime": 10.0 * epoch}
            )
    rows = pd.concat({"features": pd.DataFrame(features), "labels": pd.DataFrame(labels)}, axis=1)
    rows.index = pd.Index(rng.permutation(len(rows)) + 7)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, (start, end) in SPLIT.items():
        rows[start:end].to_pickle(FOLDER / f"{name}.pkl.gz", protocol=4)


if __name__ == "__main__":
    main()
