"""What a run needs to know: a recipe's [training] table, and all that is asked for around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import Field

from aedeploy.config import Config
from aedeploy.recipes import Recipe
from aedeploy.training.data.source import DataRequest


class TrainingConfig(Config):
    """A recipe's [training] table."""

    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=128, ge=1)
    lr: float = Field(default=1e-3, gt=0.0, allow_inf_nan=False, description="The learning rate to begin with.")
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    weight_decay: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    schedule: Literal["none", "cosine"] = Field(default="none", description="cosine: down to 0 over all epochs.")
    precision: Literal["float32", "bf16"] = Field(
        default="float32", description="bf16: autocast; weights stay float32."
    )
    grad_clip: float | None = Field(
        default=None, gt=0.0, allow_inf_nan=False, description="Largest norm of a gradient."
    )


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One run, resolved.

    ``out`` is the bundle's folder, or, when ``numbered``, the first of ``out``, ``out-2``, ``out-3``… that nobody has;
    ``resume`` goes on with the run that was stopped there, ``overwrite`` replaces the bundle that is there.
    ``tick_seconds``: how often a StepsDone tells of progress, 0 for every step; ``checkpoint_seconds``: how often a
    long epoch is saved on its way.
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
