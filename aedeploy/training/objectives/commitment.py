"""An encoder that stays with the codebook's entries: the commitment of a VQ-VAE (van den Oord et al. 2017)."""

from __future__ import annotations

from torch import Tensor

from aedeploy.errors import ConfigError
from aedeploy.models.autoencoder import TrainingPass
from aedeploy.training.objectives import Premises, WeightedConfig


class TermConfig(WeightedConfig):
    """``weight`` is the paper's β; 0.25 there, of a squared error summed alike."""


class Term:
    """Σ (z_e − sg[z_q])²: of the latents before rounding and the codebook's entries, which get no gradient from it."""

    def __init__(self, config: TermConfig, premises: Premises) -> None:
        if not premises.quantises:
            raise ConfigError(
                f"The term 'commitment' needs a codebook, and the bottleneck {premises.bottleneck!r} has none: "
                "take model.bottleneck.name = 'vq', or leave 'commitment' out."
            )

    def __call__(self, taken: TrainingPass) -> Tensor:
        return (taken.code["continuous"].float() - taken.code["latent"].float().detach()).square().sum()
