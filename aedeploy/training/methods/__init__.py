"""Methods: how a batch changes a model. One module each, with a ``MethodConfig`` and a subclass of :class:`Method`.

The one hook of the loop. A method yields losses; after each the loop takes its gradients, and at the end of a batch a
step of the optimiser of its player. So a bound of several samples, a second network with an optimiser of its own, and
phases that train a part of the model after the other are all ordinary methods, and the loop knows none of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from aedeploy.models.autoencoder import Autoencoder, TrainingPass
from aedeploy.training.objective import Objective
from aedeploy.training.objectives import Premises

METHODS = "aedeploy.training.methods"

#: The player that is the model itself.
MODEL = "model"


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of a run with losses of its own; its best epoch is no rival to another phase's."""

    name: str
    epochs: int


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Images to learn from, or, in eval mode and without gradients, to be measured on; float32 in [0, 1] units."""

    corrupted: Tensor
    clean: Tensor
    phase: int
    epoch: float  # how many of the phase are over
    sigma: Tensor | None = None  # how much noise, as the model is told; None: it is told nothing


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A loss to differentiate, whose it is, and the sums over the batch that are reported: float32 [n], detached."""

    player: str
    value: Tensor
    sums: Tensor


class Forward(Protocol):
    """``Autoencoder.training_pass``, in the precision that the recipe asks for."""

    def __call__(
        self, corrupted_BCHW: Tensor, clean_BCHW: Tensor, samples: int = 1, *, sigma_B1HW: Tensor | None = None
    ) -> TrainingPass: ...


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a method is made for."""

    model: Autoencoder
    forward: Forward
    objective: Objective
    epochs: int
    latent_dim: int


class Method(ABC):
    """Made as ``Method(config, setting)`` for a model on its device. By itself: one phase, one player, the objective.

    ``extra`` holds networks of its own, which are part of a checkpoint and of no bundle.
    """

    def __init__(self, config: Any, setting: Setting) -> None:
        self.model, self.forward = setting.model, setting.forward
        self.objective, self.epochs = setting.objective, setting.epochs
        self.extra = nn.ModuleDict()

    @classmethod  # noqa: B027  # most methods suit every recipe
    def check(cls, config: Any, premises: Premises, backbone: Mapping[str, Any], objective: Objective) -> None:
        """Raise a ConfigError where the method makes no sense for a recipe; nothing is built yet."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase(name="joint", epochs=self.epochs),)

    @property
    def players(self) -> dict[str, dict[str, nn.Parameter]]:
        """Whose parameters are trained, by name; each player has an optimiser."""
        return {MODEL: dict(self.model.named_parameters())}

    @property
    def summed(self) -> bool:
        """Whether a loss is a sum over the images of a batch, not a mean."""
        return self.objective.reduction == "sum"

    def names(self, phase: int) -> tuple[str, ...]:
        """What the sums are, of all losses of a batch in a row."""
        return self.objective.names

    @abstractmethod
    def losses(self, batch: Batch) -> Iterator[Loss]:
        """The losses of a batch, one after the other; what comes next may count on the step before."""

    def figures(self, phase: int, sums: Sequence[float], images: int, pixels: int) -> tuple[float, dict[str, float]]:
        """The loss that chooses the best epoch, and its parts, from the sums over ``images`` images."""
        return self.objective.figures(sums, images, pixels)
