"""The loop. It knows nothing of files or screens: it yields, and between two steps its state can be saved as it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing, nullcontext
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from aedeploy.errors import ConfigError, TrainingError
from aedeploy.models.autoencoder import Autoencoder, TrainingPass
from aedeploy.models.collective import align
from aedeploy.training.average import WeightAverage
from aedeploy.training.data.image_set import ImageSet
from aedeploy.training.distributed import World
from aedeploy.training.events import EpochDone, StepsDone
from aedeploy.training.measure import method_sums, precise, to_unit
from aedeploy.training.methods import Batch, Loss, Setting
from aedeploy.training.optimizers import build_optimizer
from aedeploy.training.randomness import permutation, set_randomness
from aedeploy.training.schedule import learning_rate
from aedeploy.training.validity import CheckedRecipe

# Of a CPU, as PyTorch names them: without one of these, bfloat16 is computed as float32, in more time.
_BF16 = ("avx512_bf16", "amx_bf16", "bf16")
# So many times the loss of the first step, and training has come apart, although it may still give numbers.
_EXPLODED = 100.0
# So often several processes ask one another whether to stop.
_AGREE_STEPS = 8


class DivergedError(TrainingError):
    """The loss is no longer a number, or has exploded; in all processes at once."""


@dataclass
class Progress:
    """Where a run is, in numbers; with the tensors of :class:`Fit`, all that there is to know of it."""

    epoch: int = 0  # epochs done, of all phases
    step: int = 0  # steps done of the next one
    seconds: float = 0.0  # spent on those steps
    ended: bool = False  # before its last epoch, for want of progress
    # Of the phase that is running:
    first_loss: float | None = None
    best_loss: float | None = None
    best_epoch: int | None = None
    reduced: int = 0  # how often the rate was
    reduced_at: int = 0  # epochs done then


class Fit:
    """A model being trained.

    ``pixels``: of an image, all channels. ``best``: the weights of the epoch with the least loss on held-out images,
    on the CPU; empty before there is one.
    """

    def __init__(
        self,
        model: Autoencoder,
        recipe: CheckedRecipe,
        *,
        pixels: int,
        seed: int,
        device: torch.device,
        world: World | None = None,
    ) -> None:
        self.config, self.corruptions = recipe.training, recipe.corruptions
        self.world = world or World()
        self.pixels, self.seed, self.device = pixels, seed, device
        # Where a layer takes the statistics of a batch, every piece of it needs two images.
        self.least = 2 if recipe.recipe.model["backbone"].get("batch_norm") else 1
        self.model = model.to(device).train()
        if self.config.channels_last:
            self.model.to(memory_format=torch.channels_last)
        setting = Setting(
            model=self.model,
            forward=self._forward,
            objective=recipe.objective,
            epochs=self.config.epochs,
            latent_dim=recipe.recipe.model["latent_dim"],
        )
        set_randomness(torch.device("cpu"), seed, "method")
        self.method = recipe.method.Method(recipe.method_config, setting)
        self.method.extra.to(device).train()
        self.phases = self.method.phases
        self.players = self.method.players
        self.optimizers = {name: build_optimizer(named, self.config) for name, named in self.players.items()}
        self.average = WeightAverage(self.model, self.config.ema) if self.config.ema else None
        self.progress = Progress()
        self.totals = self._new_totals()
        bf16 = self.config.precision == "bf16" or (self.config.precision == "auto" and computes_bf16(device))
        self.autocast = torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()
        self.best: dict[str, Tensor] = {}

    @property
    def epochs(self) -> int:
        """Of all phases together."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def completed(self) -> bool:
        return self.progress.ended or self.progress.epoch == self.epochs

    def run(
        self,
        train: ImageSet,
        held_out: ImageSet,
        *,
        tick_seconds: float,
        stop: threading.Event | None = None,
    ) -> Generator[StepsDone | EpochDone, None, None]:
        """Train from where it is to the last epoch, or to the step after which ``stop`` is set, in any process.

        Raises:
            ConfigError: there are more processes than a batch has images for.
            TrainingError: the loss is no longer a number, or has exploded.
        """
        at = self.progress
        train, held_out = train.to(self.device), held_out.to(self.device)
        lengths = [len(batch) for batch in self._batches(torch.arange(len(train)))]
        steps = len(lengths)
        with closing(train.batches(self._order(len(train)))) as batches:
            while not self.completed:
                begun, images = time.perf_counter(), 0
                while at.step < steps:
                    if self._stopping(stop):
                        at.seconds += time.perf_counter() - begun
                        return
                    pieces = [next(batches) for _ in range(self._pieces(lengths[at.step]))]
                    self._step(pieces, lengths[at.step], steps)
                    images += lengths[at.step - 1]
                    elapsed = time.perf_counter() - begun
                    if elapsed >= tick_seconds:
                        at.seconds += elapsed
                        yield self._steps_done(steps, sum(lengths[: at.step]), images / elapsed)
                        begun, images = time.perf_counter(), 0
                at.seconds += time.perf_counter() - begun
                yield self._end_epoch(len(train), steps, held_out)

    def _stopping(self, stop: threading.Event | None) -> bool:
        """Several processes agree on it every few steps: asking one another makes a GPU wait."""
        alone = self.world.size == 1
        asked = stop is not None and stop.is_set()
        return asked if alone else self.progress.step % _AGREE_STEPS == 0 and self.world.any(asked, self.device)

    def steps(self, images: int) -> int:
        """Of an epoch over so many images.

        Raises:
            ConfigError: there are more processes than a batch has images for.
        """
        return len(self._batches(torch.arange(images)))

    def weights(self) -> dict[str, Tensor]:
        """The model's weights, or their average where the recipe keeps one, copied to the CPU."""
        state = {**self.model.state_dict(), **(self.average.state if self.average else {})}
        return {
            name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in state.items()
        }

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Progress in numbers, and every tensor by its name, as they are."""
        tensors = {f"{group}/{name}": value for group, named in self._groups().items() for name, value in named.items()}
        return asdict(self.progress), {**tensors, **{f"best/{name}": value for name, value in self.best.items()}}

    def load_state(self, progress: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Bring a new Fit to where the run was.

        Raises:
            KeyError, RuntimeError: the tensors are not those of such a run.
        """
        self.progress = Progress(**progress)
        self.totals = self._new_totals()
        with torch.no_grad():
            for group, named in self._groups().items():
                for name, value in named.items():
                    value.copy_(tensors[f"{group}/{name}"])
        self.best = {name.removeprefix("best/"): value for name, value in tensors.items() if name.startswith("best/")}

    def _groups(self) -> dict[str, dict[str, Tensor]]:
        return {
            "model": self.model.state_dict(),
            "method": self.method.extra.state_dict(),
            **{f"optimizer/{name}": optimizer.state for name, optimizer in self.optimizers.items()},
            "average": self.average.state if self.average else {},
            "loop": {"totals": self.totals},
        }

    def _new_totals(self) -> Tensor:
        names = self.method.names(self.phase_at(self.progress.epoch)[0])
        return torch.zeros(len(names), dtype=precise(self.device), device=self.device)

    def phase_at(self, epoch: int) -> tuple[int, int]:
        """The phase that is running when so many epochs are done, and how many of its own are."""
        for number, phase in enumerate(self.phases):
            if epoch < phase.epochs or number == len(self.phases) - 1:
                return number, epoch
            epoch -= phase.epochs
        raise AssertionError("a method has phases")

    def _batches(self, order: Tensor) -> list[Tensor]:
        """An epoch's batches, with enough in each for every process."""
        least, largest = self.world.size * self.least, min(self.config.batch_size, len(order))
        if largest < least:
            raise ConfigError(
                f"{self.world.size} processes need a batch of {least} images at the least, and here it has {largest}: "
                "give a larger --batch-size, or start fewer processes."
            )
        return batches_of(order, self.config.batch_size, least=max(2, least))

    def _order(self, images: int) -> Iterator[Tensor]:
        """The positions of every piece that is still to come; read ahead of the steps where images are streamed."""
        first = self.progress.step
        for epoch in range(self.progress.epoch, self.epochs):
            for batch in self._batches(permutation(images, self.seed, epoch))[first:]:
                yield from torch.tensor_split(self.world.share(batch), self._pieces(len(batch)))
            first = 0

    def _pieces(self, images: int) -> int:
        """Into how many pieces a batch is cut: the same number in every process, and none of them too small."""
        return max(1, min(self.config.accumulate, images // (self.world.size * self.least)))

    def _step(self, pieces: list[Tensor], images: int, steps: int) -> None:
        """One batch, of ``images`` images in all processes together."""
        at = self.progress
        number, epoch = self.phase_at(at.epoch)
        step = epoch * steps + at.step
        # By rank: processes that drew the same noise would see less of it.
        where = () if self.world.leads else (self.world.rank,)
        set_randomness(self.device, self.seed, "step", at.epoch * steps + at.step, *where)
        rate = learning_rate(self.config, step, steps, self.phases[number].epochs, at.reduced)
        sums = []
        for which, pixels in enumerate(pieces):
            clean = to_unit(pixels, self.device)
            if self.config.channels_last:
                clean = clean.contiguous(memory_format=torch.channels_last)
            corrupted, sigma = self.corruptions(clean)
            batch = Batch(corrupted=corrupted, sigma=sigma, clean=clean, phase=number, epoch=step / steps)
            # Losses are means over a piece: together they must be the mean over the batch.
            share = 1.0 if self.method.summed else len(pixels) / images
            last = which == len(pieces) - 1
            sums.append(torch.cat([self._learn(loss, share, rate, last) for loss in self.method.losses(batch)]))
        total = sums[0] if len(sums) == 1 else torch.stack(sums).sum(0)
        # In every process those of all: a checkpoint is the leader's, and may be resumed by more processes or fewer.
        self.world.add_up(total)
        self.totals += total
        if self.average:
            self.average.update(step)
        if at.first_loss is None:
            at.first_loss = self._figures(number, total.tolist(), images)[0]
            self._check(at.first_loss)
        at.step += 1

    def _forward(
        self, corrupted_BCHW: Tensor, clean_BCHW: Tensor, samples: int = 1, *, sigma_B1HW: Tensor | None = None
    ) -> TrainingPass:
        # The losses themselves are computed in float32, and so are all figures.
        with self.autocast if self.model.training else nullcontext():
            return self.model.training_pass(corrupted_BCHW, clean_BCHW, samples, sigma_B1HW=sigma_B1HW)

    def _learn(self, loss: Loss, share: float, rate: float, last: bool) -> Tensor:
        """Take a loss's gradients, and a step of its player where it is the batch's last piece."""
        (loss.value * share if share != 1.0 else loss.value).backward()  # type: ignore[no-untyped-call]
        if last:
            parameters = self.players[loss.player].values()
            self.world.add_up_gradients(parameters)
            if self.config.grad_clip is not None:
                nn.utils.clip_grad_norm_(parameters, self.config.grad_clip)
            self.optimizers[loss.player].step(rate)
        return loss.sums

    def _steps_done(self, steps: int, images: int, rate: float) -> StepsDone:
        at = self.progress
        loss, _ = self._figures(self.phase_at(at.epoch)[0], self.totals.tolist(), images)
        # Of several processes one that ended alone would leave the others waiting: they look when the epoch is over.
        if self.world.size == 1:
            self._check(loss)
        return StepsDone(epoch=at.epoch + 1, step=at.step, steps=steps, loss=loss, images_per_second=rate)

    def _end_epoch(self, images: int, steps: int, held_out: ImageSet) -> EpochDone:
        at, config = self.progress, self.config
        number, epoch = self.phase_at(at.epoch)
        phase = self.phases[number]
        train_loss, train_parts = self._figures(number, self.totals.tolist(), images)
        self._check(train_loss)
        held_out_loss, held_out_parts = self._held_out(number, held_out)
        self._check(held_out_loss)
        best = at.best_loss is None or held_out_loss < at.best_loss
        done = EpochDone(
            epoch=at.epoch + 1,
            epochs=self.epochs,
            phase=phase.name,
            train_loss=train_loss,
            train_parts=train_parts,
            held_out_loss=held_out_loss,
            held_out_parts=held_out_parts,
            best=best,
            lr=learning_rate(config, (epoch + 1) * steps - 1, steps, phase.epochs, at.reduced),
            seconds=at.seconds,
            images_per_second=images / at.seconds,
        )
        at.epoch, at.step, at.seconds = at.epoch + 1, 0, 0.0
        if best:
            at.best_loss, at.best_epoch, self.best = held_out_loss, at.epoch, self.weights()
        self._judge_progress(number, phase_over=epoch + 1 == phase.epochs)
        self.totals = self._new_totals()
        return done

    def _held_out(self, phase: int, held_out: ImageSet) -> tuple[float, dict[str, float]]:
        # Every process measures a part, and all with the leader's batch statistics.
        align(*self.model.buffers())
        with ExitStack() as stack:
            if self.average:
                stack.enter_context(self.average.in_place())
            sums = method_sums(self.model, self.method, phase, self.corruptions, held_out, self.device, self.world)
        return self._figures(phase, sums, len(held_out))

    def _judge_progress(self, phase: int, *, phase_over: bool) -> None:
        """What follows from an epoch: a lower rate, the end of the run, or the next phase, which begins anew."""
        at, config = self.progress, self.config
        if phase_over and phase < len(self.phases) - 1:
            if self.best:
                # The next phase builds on the best of this one.
                self.model.load_state_dict(self.best)
            at.first_loss = at.best_loss = at.best_epoch = None
            at.reduced, at.reduced_at, self.best = 0, at.epoch, {}
            if self.average:
                self.average.restart()
            return
        stale = at.epoch - max(at.best_epoch or 0, at.reduced_at)
        if config.schedule == "plateau" and stale >= config.plateau_epochs:
            at.reduced, at.reduced_at = at.reduced + 1, at.epoch
        if config.patience is not None and phase == len(self.phases) - 1:
            at.ended = at.epoch - (at.best_epoch or 0) >= config.patience

    def _figures(self, phase: int, sums: list[float], images: int) -> tuple[float, dict[str, float]]:
        figures: tuple[float, dict[str, float]] = self.method.figures(phase, sums, images, self.pixels)
        return figures

    def _check(self, loss: float) -> None:
        first = self.progress.first_loss
        if isfinite(loss) and (first is None or loss <= _EXPLODED * first):
            return
        what = "has exploded" if isfinite(loss) else "is no longer a number"
        raise DivergedError(
            f"The loss {what} in epoch {self.progress.epoch + 1} ({loss:.3g}): try a lower --lr than "
            f"{self.config.lr:g}, or clip the gradients with --set training.grad_clip=1."
        )


def computes_bf16(device: torch.device) -> bool:
    """Whether a device multiplies in bfloat16 itself."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # The oldest PyTorch that we take does not tell.
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return device.type == "cpu" and any(capabilities.get(name) for name in _BF16)


def batches_of(order: Tensor, batch_size: int, least: int = 2) -> list[Tensor]:
    """Cut positions into batches. A last one of fewer than ``least`` joins those before it: statistics of a batch need
    two images, and every process needs some.
    """
    batches = list(torch.split(order, batch_size))
    if len(batches) > 1 and len(batches[-1]) < min(least, batch_size):
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
