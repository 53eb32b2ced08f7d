"""``train``: from a configuration to a bundle, as a generator of events."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from math import prod
from typing import Any

import torch
from torch import Tensor

from aedeploy.bundle import Bundle
from aedeploy.bundle.store import CHECKPOINT_FILE
from aedeploy.errors import TrainingError
from aedeploy.models.autoencoder import Normalisation
from aedeploy.models.build import BuiltModel, build_model
from aedeploy.recipes import Recipe
from aedeploy.runtime.cores import available_cores
from aedeploy.training.allocator import keep_freed_memory
from aedeploy.training.checkpoint import restore, save_checkpoint
from aedeploy.training.config import TrainConfig
from aedeploy.training.data.open import open_source
from aedeploy.training.data.source import Data
from aedeploy.training.destination import check_destination, claim
from aedeploy.training.distributed import World, is_follower, joined, local_device
from aedeploy.training.events import Ended, EpochDone, Event, Started
from aedeploy.training.history import History
from aedeploy.training.loop import DivergedError, Fit
from aedeploy.training.measure import metrics
from aedeploy.training.memory import memory_for
from aedeploy.training.publish import Training, publish
from aedeploy.training.randomness import set_randomness
from aedeploy.training.statistics import pixel_statistics
from aedeploy.training.tensorboard import TensorBoardLog
from aedeploy.training.validity import (
    CheckedRecipe,
    check_batches,
    check_model_fits,
    check_names,
    check_recipe,
    choose_device,
    codebook_note,
)
from aedeploy.training.watch import Watch


def train(config: TrainConfig, stop: threading.Event | None = None) -> Iterator[Event]:
    """Train a recipe and write its bundle: Started, then StepsDone and EpochDone, and at last Ended with the bundle.

    After each EpochDone of a run that is to be watched comes a Watched.

    When ``stop`` is set, the run ends after the step it is at: with a checkpoint, from which ``resume`` goes on as if
    nothing had happened, and with a bundle of the best weights so far. Torch's global random state is that of the run
    while it lasts, and what it was before once it is over. From then on the C library keeps freed memory.

    Raises:
        ConfigError: an option, the recipe, or both together cannot work.
        BusyError: another run is writing into the same folder.
        NothingToDoError: there are no images.
        BackendError: the device is not there.
        TrainingError: the loss is no longer a number, or memory does not suffice; a bundle of the best epoch before is
            written if there was one.
        IntegrityError: the checkpoint to resume from is damaged.
    """
    begun = time.perf_counter()
    keep_freed_memory()
    stop = stop or threading.Event()
    recipe = check_recipe(config.recipe)
    device = local_device(choose_device(config.device))
    check_names(config)
    if not is_follower():
        check_destination(config.out, **_where(config))
    source = open_source(config.data, recipe.training.patches)
    # Torch counts the host's cores, of which a container may have few.
    torch.set_num_threads(min(torch.get_num_threads(), available_cores()))
    with _own_randomness(device):
        # Before the images are read: a model that cannot take their size is refused here.
        check_model_fits(recipe, source.image_shape, source.size_option)
        set_randomness(torch.device("cpu"), config.seed, "weights")
        built = build_model(recipe.recipe.model, source.image_shape)
        with memory_for("the images", source.size_option):
            data = source.load()
        check_batches(recipe, len(data.train))
        notes = (*source.notes, *data.notes, *codebook_note(recipe, built, len(data.train)))
        with ExitStack() as stack:
            if not is_follower():
                config = replace(config, out=stack.enter_context(claim(config.out, **_where(config))))
            log = _log(config, stack)
            world = stack.enter_context(joined(device))
            run = _Run(config, recipe, built, data, device, world)
            for event in run.events(notes, begun, stop):
                if log:
                    log.add(event)
                yield event


def _where(config: TrainConfig) -> dict[str, bool]:
    return {"resume": config.resume, "overwrite": config.overwrite, "numbered": config.numbered}


def _log(config: TrainConfig, stack: ExitStack) -> TensorBoardLog | None:
    if config.tensorboard is None or is_follower():
        return None
    return stack.enter_context(TensorBoardLog(config.tensorboard))


class _Run:
    """One run's parts, and its folder. Of several processes, all but the leader leave the folder alone."""

    def __init__(
        self,
        config: TrainConfig,
        recipe: CheckedRecipe,
        built: BuiltModel,
        data: Data,
        device: torch.device,
        world: World,
    ) -> None:
        self.config, self.recipe, self.built, self.data, self.device = config, recipe.recipe, built, data, device
        if built.module.normalisation is not None:
            statistics = pixel_statistics(data.train)
            built.module.normalisation = Normalisation(statistics.mean, statistics.std)
        self.fit = Fit(
            self.built.module,
            recipe,
            pixels=prod(data.train.image_shape),
            seed=config.seed,
            device=device,
            world=world,
        )
        self.world = world
        self.identity = _identity(recipe.recipe, config.seed, data)
        if config.resume:
            restore(config.out / CHECKPOINT_FILE, self.fit, self.identity)
        self.history = History(config.out, self.fit.progress.epoch if world.leads else 0)
        self.watch = Watch(data.held_out, recipe.corruptions) if config.watch and world.leads else None

    def events(self, notes: tuple[str, ...], begun: float, stop: threading.Event) -> Iterator[Event]:
        """From the first to the last; a follower does not see the bundle, which is the leader's."""
        yield self.started(notes)
        yield from self.train(stop)
        if self.world.leads:
            yield self.ended(begun)

    def started(self, notes: tuple[str, ...]) -> Started:
        return Started(
            data=self.data.record,
            image_shape=self.built.image_shape,
            parameters=sum(parameter.numel() for parameter in self.fit.model.parameters()),
            device=str(self.device),
            phases=tuple(phase.name for phase in self.fit.phases),
            latent=None if self.built.latent is None else prod(self.built.backbone.latent_shape),
            max_sigma=self.built.backbone.max_sigma,
            photographs=self.data.photographs,
            epochs=self.fit.epochs,
            epochs_done=self.fit.progress.epoch,
            steps=self.fit.steps(len(self.data.train)),
            notes=notes,
            history=self.history.before,
        )

    def train(self, stop: threading.Event) -> Iterator[Event]:
        """The loop, with all that it leaves on its way."""
        saved, config = time.perf_counter(), self.config
        try:
            with (
                memory_for("training", "--batch-size, the size of the images or the sizes in the recipe"),
                closing(
                    self.fit.run(self.data.train, self.data.held_out, tick_seconds=config.tick_seconds, stop=stop)
                ) as events,
            ):
                for event in events:
                    if isinstance(event, EpochDone) and self.world.leads:
                        self.history.add(event)
                    if isinstance(event, EpochDone) or time.perf_counter() - saved > config.checkpoint_seconds:
                        self._save()
                        saved = time.perf_counter()
                    yield event
                    if self.watch and isinstance(event, EpochDone):
                        yield self.watch.look(self.fit)
        except TrainingError as error:
            raise self._failed(error) from None
        if not self.fit.completed:
            self._save()

    def _save(self) -> None:
        if not self.world.leads:
            return
        self.history.begin()
        save_checkpoint(self.config.out / CHECKPOINT_FILE, self.fit, self.identity)

    def ended(self, begun: float) -> Ended:
        bundle, figures = self._publish()
        return Ended(
            bundle=bundle,
            completed=self.fit.completed,
            epochs=self.fit.progress.epoch,
            train_loss=self.history.train_loss,
            metrics=figures,
            seconds=time.perf_counter() - begun,
        )

    def _failed(self, error: TrainingError) -> TrainingError:
        """The error, with what is left: a bundle of the best epoch, or what was there before."""
        found = error
        if self.fit.best and self.world.leads:
            bundle, _ = self._publish()
            kept = f"The weights of epoch {self.fit.progress.best_epoch} are kept in {bundle.path}."
            found = TrainingError(f"{error} {kept}")
        if isinstance(error, DivergedError):
            # torchrun ends all processes soon after the first: the others wait until the bundle is written.
            self.world.same(None)
        return found

    def _publish(self) -> tuple[Bundle, dict[str, float | int | None]]:
        """The bundle of the best weights, or, before the first epoch is over, of the ones that there are."""
        fit, at = self.fit, self.fit.progress
        weights = fit.best or fit.weights()
        if fit.config.weights == "float16":
            weights = {name: _rounded(value) for name, value in weights.items()}
        last = {name: value.clone() for name, value in fit.model.state_dict().items()}
        fit.model.load_state_dict(weights)
        figures = {
            "epochs": at.epoch,
            "best_epoch": at.best_epoch,
            **metrics(fit.model, fit.method, fit.corruptions, self.data.held_out, self.device),
        }
        fit.model.load_state_dict(last)
        training = Training(
            recipe=self.recipe,
            data=self.data.record,
            seed=self.config.seed,
            metrics=figures,
            device=self.device.type,
        )
        return publish(self.config.out, self.built, weights, self.data.held_out, training), figures


def _identity(recipe: Recipe, seed: int, data: Data) -> dict[str, Any]:
    """What must be the same for a run to go on."""
    tables = recipe.as_dict()
    if tables["training"]["schedule"] != "cosine":
        del tables["training"]["epochs"]  # more of them change nothing of those before
    return {
        **{name: tables[name] for name in ("model", "corruption", "objective", "training")},
        "data": data.record.model_dump(mode="json"),
        "image_shape": list(data.train.image_shape),
        "seed": seed,
    }


def _rounded(weight: Tensor) -> Tensor:
    """In half precision, but for numbers beyond its range, such as a variance of a batch may be."""
    half = weight.half()
    return half if weight.is_floating_point() and half.isfinite().all() else weight


@contextmanager
def _own_randomness(device: torch.device) -> Iterator[None]:
    devices = [] if device.type != "cuda" else [device.index or 0]
    with torch.random.fork_rng(devices):
        yield
