"""The loop. It knows nothing of files or screens: it yields, and between two steps its state can be saved as it is."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor, nn

from aedeploy.errors import TrainingError
from aedeploy.models.autoencoder import Autoencoder
from aedeploy.training.data.image_set import ImageSet
from aedeploy.training.events import EpochDone, StepsDone
from aedeploy.training.measure import objective_sums, precise, to_unit
from aedeploy.training.optimizers import build_optimizer, learning_rate
from aedeploy.training.randomness import permutation, set_randomness
from aedeploy.training.validity import CheckedRecipe

# So many times the loss of the first step, and training has come apart, although it may still give numbers.
_EXPLODED = 100.0


@dataclass
class Progress:
    """Where a run is, in numbers; with the tensors of :class:`Fit`, all that there is to know of it."""

    epoch: int = 0  # epochs done
    step: int = 0  # steps done of the next one
    seconds: float = 0.0  # spent on those steps
    first_loss: float | None = None
    best_loss: float | None = None
    best_epoch: int | None = None


class Fit:
    """A model being trained.

    ``pixels``: of an image, all channels. ``best``: the weights of the epoch with the least loss on held-out images,
    on the CPU; empty before there is one.
    """

    def __init__(
        self, model: Autoencoder, recipe: CheckedRecipe, *, pixels: int, seed: int, device: torch.device
    ) -> None:
        self.model = model.to(device).train()
        self.objective, self.corruptions, self.config = recipe.objective, recipe.corruptions, recipe.training
        self.pixels, self.seed, self.device = pixels, seed, device
        self.optimizer = build_optimizer(model, self.config)
        self.totals = torch.zeros(len(self.objective.terms), dtype=precise(device), device=device)
        bf16 = self.config.precision == "bf16"
        self.autocast = torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()
        self.progress = Progress()
        self.best: dict[str, Tensor] = {}

    def run(
        self, train: ImageSet, held_out: ImageSet, *, tick_seconds: float
    ) -> Generator[StepsDone | EpochDone, None, None]:
        """Train from where it is to the last epoch.

        Raises:
            TrainingError: the loss is no longer a number, or has exploded.
        """
        at, config = self.progress, self.config
        train, held_out = train.to(self.device), held_out.to(self.device)
        steps = len(batches_of(torch.arange(len(train)), config.batch_size))
        with closing(train.batches(self._order(len(train)))) as batches:
            while at.epoch < config.epochs:
                begun, images = time.perf_counter(), 0
                while at.step < steps:
                    pixels = next(batches)
                    self._step(pixels, steps)
                    images += len(pixels)
                    elapsed = time.perf_counter() - begun
                    if elapsed >= tick_seconds:
                        at.seconds += elapsed
                        yield self._steps_done(steps, len(train), images / elapsed)
                        begun, images = time.perf_counter(), 0
                at.seconds += time.perf_counter() - begun
                yield self._end_epoch(len(train), steps, held_out)

    def weights(self) -> dict[str, Tensor]:
        """The model's weights as they are, copied to the CPU."""
        return {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}

    def _order(self, images: int) -> Iterator[Tensor]:
        """The positions of every batch that is still to come; read ahead of the steps where images are streamed."""
        first = self.progress.step
        for epoch in range(self.progress.epoch, self.config.epochs):
            yield from batches_of(permutation(images, self.seed, epoch), self.config.batch_size)[first:]
            first = 0

    def _step(self, pixels: Tensor, steps: int) -> None:
        step = self.progress.epoch * steps + self.progress.step
        set_randomness(self.device, self.seed, "step", step)
        clean = to_unit(pixels, self.device)
        with self.autocast:
            taken = self.model.training_pass(self.corruptions(clean), clean)
        loss, sums = self.objective(taken)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.config.grad_clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip)
        self.optimizer.step(learning_rate(self.config, step, steps * self.config.epochs))
        self.totals += sums
        if self.progress.first_loss is None:
            self.progress.first_loss = self._figures(sums.tolist(), len(clean))[0]
            self._check(self.progress.first_loss)
        self.progress.step += 1

    def _steps_done(self, steps: int, images: int, rate: float) -> StepsDone:
        at = self.progress
        done = min(at.step * self.config.batch_size, images)
        loss, _ = self._figures(self.totals.tolist(), done)
        self._check(loss)
        return StepsDone(epoch=at.epoch + 1, step=at.step, steps=steps, loss=loss, images_per_second=rate)

    def _end_epoch(self, images: int, steps: int, held_out: ImageSet) -> EpochDone:
        at = self.progress
        train_loss, train_parts = self._figures(self.totals.tolist(), images)
        self._check(train_loss)
        sums = objective_sums(self.model, self.objective, self.corruptions, held_out, self.device)
        held_out_loss, held_out_parts = self._figures(sums, len(held_out))
        self._check(held_out_loss)
        best = at.best_loss is None or held_out_loss < at.best_loss
        done = EpochDone(
            epoch=at.epoch + 1,
            epochs=self.config.epochs,
            train_loss=train_loss,
            train_parts=train_parts,
            held_out_loss=held_out_loss,
            held_out_parts=held_out_parts,
            best=best,
            lr=learning_rate(self.config, (at.epoch + 1) * steps - 1, steps * self.config.epochs),
            seconds=at.seconds,
            images_per_second=images / at.seconds,
        )
        at.epoch, at.step, at.seconds = at.epoch + 1, 0, 0.0
        self.totals.zero_()
        if best:
            at.best_loss, at.best_epoch, self.best = held_out_loss, at.epoch, self.weights()
        return done

    def _figures(self, sums: list[float], images: int) -> tuple[float, dict[str, float]]:
        return self.objective.figures(sums, images, self.pixels)

    def _check(self, loss: float) -> None:
        first = self.progress.first_loss
        if isfinite(loss) and (first is None or loss <= _EXPLODED * first):
            return
        what = "has exploded" if isfinite(loss) else "is no longer a number"
        raise TrainingError(
            f"The loss {what} in epoch {self.progress.epoch + 1} ({loss:.3g}): try a lower --lr than "
            f"{self.config.lr:g}, or clip the gradients with --set training.grad_clip=1."
        )


def batches_of(order: Tensor, batch_size: int) -> list[Tensor]:
    """Cut positions into batches. A single last one joins those before it: statistics of a batch need two images."""
    batches = list(torch.split(order, batch_size))
    if batch_size > 1 and len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
