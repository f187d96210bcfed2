"""The learning rate over a trial, as a factor of its base rate. Pure."""

from __future__ import annotations

import math

from trainables.settings import Settings

WARMUP_START = 0.01  # of the base rate, as in torchvision's references


def rate_factor(settings: Settings, trained: float, max_epochs: int) -> float:
    """Returns the factor after `trained` epochs, a fraction, of `max_epochs`.

    Warm-up rises in a line from WARMUP_START to 1 over `warmup_epochs`; the schedule follows, over the epochs that are
    left. A cosine falls to `min_rate_factor`.
    """
    warmup = settings.warmup_epochs
    if trained < warmup:
        return WARMUP_START + (1 - WARMUP_START) * trained / warmup
    floor = settings.min_rate_factor
    return floor + (1 - floor) * scheduled(settings.schedule, (trained - warmup) / (max_epochs - warmup))


def scheduled(schedule: str, progress: float) -> float:
    """Returns the factor when `progress` in [0, 1] of the schedule's epochs is trained.

    one_cycle (Smith and Topin 2018): from 1/25 up to 1 over the first 30 percent, down to 1/250,000, both as cosines.
    """
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    if schedule == "one_cycle":
        low, high, part = (0.04, 1.0, progress / 0.3) if progress < 0.3 else (4e-6, 1.0, 1 - (progress - 0.3) / 0.7)
        return low + (high - low) * 0.5 * (1 - math.cos(math.pi * part))
    return 1.0
