"""The usual one: encoder and decoder together, by the objective."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from aedeploy.config import Config
from aedeploy.training import methods
from aedeploy.training.methods import MODEL, Batch, Loss


class MethodConfig(Config):
    """It has nothing to set."""

    name: Literal["joint"] = "joint"


class Method(methods.Method):
    """One loss a batch: the objective's."""

    def losses(self, batch: Batch) -> Iterator[Loss]:
        taken = self.forward(batch.corrupted, batch.clean, sigma_B1HW=batch.sigma)
        value, sums = self.objective(taken, batch.epoch)
        yield Loss(player=MODEL, value=value, sums=sums)
