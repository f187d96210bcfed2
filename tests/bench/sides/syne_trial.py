"""A trial of Syne Tune: its own process, with the configuration on the command line."""

from __future__ import annotations

import argparse

from syne_tune import Reporter
from task import accuracies

parser = argparse.ArgumentParser()
for name, kind in (("learning_rate", float), ("optimizer", str), ("epochs", int), ("seconds", float)):
    parser.add_argument(f"--{name}", type=kind)
given, _ = parser.parse_known_args()
report = Reporter()
for epoch, value in enumerate(accuracies(vars(given), given.epochs, given.seconds), start=1):
    report(epoch=epoch, val_accuracy=value)
