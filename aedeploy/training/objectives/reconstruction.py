"""How far the output is from the clean image, in the model's own units: standardised, if it is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from aedeploy.errors import ConfigError
from aedeploy.models.autoencoder import TrainingPass
from aedeploy.training.objectives import Premises, WeightedConfig


class TermConfig(WeightedConfig):
    """``bce``: of pixels as probabilities, in nats; ``huber``: quadratic up to ``delta``, linear beyond."""

    loss: Literal["l1", "mse", "bce", "huber"]
    delta: float | None = Field(default=None, gt=0.0, allow_inf_nan=False, description="huber only; 1 unless given.")


class Term:
    """Σ |x̂ − x|, Σ (x̂ − x)², Σ −x·log x̂ − (1 − x)·log(1 − x̂), or Σ of Huber's, over the whole batch."""

    def __init__(self, config: TermConfig, premises: Premises) -> None:
        if config.loss == "bce" and premises.normalisation == "standard":
            raise ConfigError(
                "The loss 'bce' takes pixels in [0, 1], and model.normalisation is 'standard': "
                "take objective.reconstruction.loss = 'mse' or 'l1', or model.normalisation = 'none'."
            )
        if config.loss == "bce" and premises.output != "sigmoid":
            raise ConfigError(
                f"The loss 'bce' takes probabilities, and model.output is {premises.output!r}: "
                "take model.output = 'sigmoid', or objective.reconstruction.loss = 'mse'."
            )
        if config.delta is not None and config.loss != "huber":
            raise ConfigError(f"objective.reconstruction.delta belongs to the loss 'huber', not to {config.loss!r}.")
        self.loss = config.loss
        self.delta = 1.0 if config.delta is None else config.delta

    def __call__(self, taken: TrainingPass) -> Tensor:
        target = taken.target
        if self.loss == "bce":
            return functional.binary_cross_entropy_with_logits(taken.raw.float(), target, reduction="sum")
        output = taken.output.float()
        if self.loss == "l1":
            return functional.l1_loss(output, target, reduction="sum")
        if self.loss == "mse":
            return functional.mse_loss(output, target, reduction="sum")
        return functional.huber_loss(output, target, reduction="sum", delta=self.delta)
