"""How far the output is from the clean image, in the model's own units: standardised, if it is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from aedeploy.errors import ConfigError
from aedeploy.models.autoencoder import TrainingPass
from aedeploy.training.objectives import Premises, WeightedConfig
from aedeploy.training.objectives._refusals import refuse_standardised
from aedeploy.training.ssim import ssim_map

_EPSILON = 1e-3


class TermConfig(WeightedConfig):
    """``bce``: of pixels as probabilities, in nats; ``huber``: quadratic up to ``delta``, linear beyond.

    ``charbonnier``: √(x² + ε²), an L1 that is smooth at 0 (Charbonnier et al. 1994), with ε = 0.001.
    ``ssim``: 1 − the structural similarity around each pixel; the term 'ssim' mixes it with another of these.
    """

    loss: Literal["l1", "mse", "bce", "huber", "charbonnier", "ssim"]
    delta: float | None = Field(default=None, gt=0.0, allow_inf_nan=False, description="huber only; 1 unless given.")


class Term:
    """Σ |x̂ − x|, Σ (x̂ − x)², Σ −x·log x̂ − (1 − x)·log(1 − x̂), Σ of Huber's, or Σ (1 − SSIM), over the batch."""

    def __init__(self, config: TermConfig, premises: Premises) -> None:
        if config.loss in ("bce", "ssim"):
            refuse_standardised(premises, f"The loss {config.loss!r}", "objective.reconstruction.loss = 'mse' or 'l1'")
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
        if self.loss == "charbonnier":
            return ((output - target).square() + _EPSILON**2).sqrt().sum()
        if self.loss == "ssim":
            return (1.0 - ssim_map(output, target)).sum()
        return functional.huber_loss(output, target, reduction="sum", delta=self.delta)
