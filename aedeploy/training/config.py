"""What a run needs to know: a recipe's [training] table, and all that is asked for around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from aedeploy.config import Config
from aedeploy.recipes import Recipe
from aedeploy.training.data.patches import PatchConfig
from aedeploy.training.data.source import DataRequest


class TrainingConfig(Config):
    """A recipe's [training] table. The table ``method`` is read by the module that it names."""

    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=128, ge=1, description="Of all processes together, whatever it is cut into.")
    accumulate: int = Field(default=1, ge=1, description="Pieces that a batch is cut into, for want of memory.")
    lr: float = Field(default=1e-3, gt=0.0, allow_inf_nan=False, description="The learning rate to begin with.")
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    weight_decay: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    grad_clip: float | None = Field(
        default=None, gt=0.0, allow_inf_nan=False, description="Largest norm of a gradient."
    )
    schedule: Literal["none", "cosine", "step", "plateau"] = Field(
        default="none",
        description="cosine: down to 0 over all epochs; step: times decay every step_epochs; plateau: times decay "
        "after plateau_epochs without a better held-out loss.",
    )
    warmup_epochs: float = Field(
        default=0.0, ge=0.0, allow_inf_nan=False, description="The rate rises over them from 0, in a straight line."
    )
    decay: float = Field(default=0.1, gt=0.0, lt=1.0, description="Of the schedules step and plateau.")
    step_epochs: int = Field(default=10, ge=1)
    plateau_epochs: int = Field(default=3, ge=1)
    patience: int | None = Field(
        default=None, ge=1, description="Epochs without a better held-out loss after which a run ends."
    )
    ema: float | None = Field(
        default=None,
        gt=0.0,
        lt=1.0,
        description="Decay of a moving average of the weights, by step; it is what is measured and kept.",
    )
    precision: Literal["float32", "bf16", "auto"] = Field(
        default="float32", description="bf16: autocast; weights stay float32. auto: where the device computes in it."
    )
    weights: Literal["float32", "float16"] = Field(
        default="float32",
        description="float16: a bundle's weights are rounded to half precision, before they are measured, and take "
        "half the room; computed with in float32 all the same.",
    )
    channels_last: bool = Field(default=False, description="Memory format of images and convolutions.")
    method: dict[str, Any] = Field(default_factory=lambda: {"name": "joint"})
    patches: PatchConfig | None = Field(
        default=None, description="Train on patches of a folder's images, in place of the images at one size."
    )


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One run, resolved.

    ``out`` is the bundle's folder, or, when ``numbered``, the first of ``out``, ``out-2``, ``out-3``… that nobody has;
    ``resume`` goes on with the run that was stopped there, ``overwrite`` replaces the bundle that is there.
    ``tick_seconds``: how often a StepsDone tells of progress, 0 for every step; ``checkpoint_seconds``: how often a
    long epoch is saved on its way; ``tensorboard``: a folder for its event files; ``watch``: whether a Watched
    follows each epoch, for pictures of a few held-out images.
    """

    recipe: Recipe
    out: Path
    data: DataRequest = field(default_factory=DataRequest)
    seed: int = 0
    device: str = "auto"
    resume: bool = False
    overwrite: bool = False
    numbered: bool = False
    tick_seconds: float = 0.2
    checkpoint_seconds: float = 120.0
    tensorboard: Path | None = None
    watch: bool = False
