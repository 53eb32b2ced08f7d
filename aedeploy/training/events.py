"""What a run says on its way, in the order in which it comes: Started, then StepsDone and EpochDone, then Ended.

A run that is watched has a Watched after each EpochDone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from aedeploy.bundle import Bundle, DataRecord


@dataclass(frozen=True, kw_only=True)
class PastEpoch:
    """Of an epoch that an earlier process did, what ``history.jsonl`` has of its losses."""

    epoch: int
    phase: str
    train_loss: float
    held_out_loss: float


@dataclass(frozen=True, kw_only=True)
class Started:
    """All is read and checked; the first step is next. From here on a stop leaves a bundle."""

    data: DataRecord
    image_shape: tuple[int, int, int]
    parameters: int
    device: str
    phases: tuple[str, ...]  # their names; one, unless a part of the model is trained after the other
    latent: int | None  # numbers that the encoder makes of an image; None: the model has no encoder of its own
    max_sigma: float | None  # how much noise the model can be told of, in levels of 255; None: it is told nothing
    photographs: tuple[int, int] | None  # of which the images to train on and those held out are patches, if they are
    epochs: int  # of all phases
    epochs_done: int  # more than 0 in a run that goes on
    steps: int  # of one epoch
    notes: tuple[str, ...]
    history: tuple[PastEpoch, ...]  # of a run that goes on


@dataclass(frozen=True, kw_only=True)
class StepsDone:
    """Some steps were taken; ``step`` of ``steps`` of the epoch ``epoch`` (from 1) are done, at this mean loss."""

    epoch: int
    step: int
    steps: int
    loss: float
    images_per_second: float


@dataclass(frozen=True, kw_only=True)
class EpochDone:
    """An epoch is over. Losses are by pixel or by image, as the objective's reduction says; ``parts`` unweighted."""

    epoch: int  # from 1, over all phases
    epochs: int
    phase: str
    train_loss: float
    train_parts: Mapping[str, float]
    held_out_loss: float
    held_out_parts: Mapping[str, float]
    best: bool  # of its phase
    lr: float
    seconds: float  # of the training steps alone
    images_per_second: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Watched:
    """A few held-out images after an epoch, always the same ones; uint8 [n, H, W, C]."""

    epoch: int
    inputs: np.ndarray  # what the model was given: corrupted, where the recipe corrupts; else the originals
    reconstructions: np.ndarray
    originals: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The bundle is written. ``completed`` is False where the run was stopped before its last epoch."""

    bundle: Bundle
    completed: bool
    epochs: int
    train_loss: float | None  # None: stopped within the first epoch
    metrics: Mapping[str, float | int | None]
    seconds: float  # of this process, from the first look at the configuration


Event = Started | StepsDone | EpochDone | Watched | Ended
