"""The learning rate as a function of the step; only the schedule ``plateau`` has a memory, of one number."""

from __future__ import annotations

import math

from aedeploy.training.config import TrainingConfig


def learning_rate(config: TrainingConfig, step: int, steps: int, epochs: int, reduced: int = 0) -> float:
    """The rate of a phase's step ``step`` (from 0), of ``steps`` an epoch and ``epochs`` in all.

    ``reduced``: how often the schedule ``plateau`` has lowered it.
    """
    epoch = step / steps
    rate = config.lr
    if epoch < config.warmup_epochs:
        # The first step is one, too: a rate of 0 would waste it.
        return rate * (step + 1) / (config.warmup_epochs * steps + 1)
    if config.schedule == "cosine":
        # From the end of the warm-up (Loshchilov & Hutter 2017).
        share = (epoch - config.warmup_epochs) / (epochs - config.warmup_epochs)
        return rate * 0.5 * (1.0 + math.cos(math.pi * share))
    if config.schedule == "step":
        return rate * config.decay ** (int(epoch) // config.step_epochs)
    return rate * config.decay**reduced
