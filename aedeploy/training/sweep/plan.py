"""A sweep, planned: everything that can be refused without training is refused here, and nothing is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from aedeploy.errors import ConfigError
from aedeploy.models.build import build_model
from aedeploy.recipes import Recipe, with_values
from aedeploy.runtime.cores import available_cores
from aedeploy.training.config import TrainConfig
from aedeploy.training.data.open import open_source
from aedeploy.training.data.patches import PatchConfig
from aedeploy.training.data.source import DataRequest, Source
from aedeploy.training.destination import check_destination
from aedeploy.training.distributed import processes
from aedeploy.training.memory import available_memory, size_of_weights
from aedeploy.training.sweep.grid import SEED, Axis, Values, canonical, check_axes, grid, label, value_text
from aedeploy.training.sweep.record import Record, open_record
from aedeploy.training.validity import CheckedRecipe, check_model_fits, check_names, check_recipe, choose_device

T = TypeVar("T")

# What a process takes besides its model: PyTorch itself, activations, and the quarter that its images may take.
_PROCESS_BYTES = 1 << 30
# The weights, their gradients, Adam's two moments, the best epoch's copy, and one on its way to a file.
_COPIES_OF_WEIGHTS = 6


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """What is asked for.

    ``recipe`` is what the points share; each is trained with ``seed`` and those after it, ``seeds`` in all. ``jobs``:
    processes side by side, None for as many as suit the device, the cores and the memory.
    """

    recipe: Recipe
    axes: Sequence[Axis]
    out: Path
    data: DataRequest = field(default_factory=DataRequest)
    seed: int = 0
    seeds: int = 1
    device: str = "auto"
    jobs: int | None = None


@dataclass(frozen=True, kw_only=True)
class Point:
    """One of the grid, checked."""

    values: Values
    recipe: Recipe
    seed: int


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What will be done. ``base``: what all points share, as ``sweep.json`` says it; ``most_jobs``: by the memory."""

    config: SweepConfig
    axes: tuple[Axis, ...]
    points: tuple[Point, ...]
    base: Mapping[str, Any]
    device: str
    most_jobs: int

    def record(self) -> Record:
        """``sweep.json`` as it is, with these points; see :func:`aedeploy.training.sweep.record.open_record`."""
        found = open_record(self.config.out, self.base, self.axes)
        return found.with_points(self.axes, [point.values for point in self.points])

    def jobs(self, left: int) -> int:
        """How many processes for so many points: one a core, on an accelerator one, or what was asked for."""
        if self.config.jobs is not None:
            return max(1, min(self.config.jobs, left))
        cores = available_cores() if self.device == "cpu" else 1
        return max(1, min(cores, self.most_jobs, left))


def plan_sweep(config: SweepConfig) -> Sweep:
    """Check every point of a grid, the data, the device and the folder.

    Raises:
        ConfigError: the grid, a point's recipe, the data or the folder cannot work; a point's values are named.
        NothingToDoError: there are no images.
        BackendError: the device is not there.
        TrainingError: the data cannot be downloaded.
    """
    if processes() > 1:
        raise ConfigError("A sweep starts processes of its own: run it without torchrun, and give --jobs.")
    if config.seeds < 1:
        raise ConfigError(f"--seeds {config.seeds}: each point needs at least 1.")
    if config.jobs is not None and config.jobs < 1:
        raise ConfigError(f"--jobs {config.jobs}: at least 1 process must train.")
    seeds = tuple(range(config.seed, config.seed + config.seeds))
    axes = (*config.axes, *([Axis(SEED, seeds)] if config.seeds > 1 else []))
    check_axes(axes)
    points = [_point(config, values) for values in grid(axes)]
    recipes = _each(points, config.recipe, check_recipe)
    _refuse_twins(points, recipes)
    device = choose_device(config.device).type
    check_names(TrainConfig(recipe=config.recipe, out=config.out, data=config.data))
    source = open_source(config.data, _patches(recipes))
    _each(
        points,
        config.recipe,
        lambda recipe: check_model_fits(check_recipe(recipe), source.image_shape, source.size_option),
    )
    sweep = Sweep(
        config=config,
        axes=axes,
        points=tuple(points),
        base=_base(config, source),
        device=device,
        most_jobs=_most_jobs(recipes, source),
    )
    _check_folders(sweep)
    return sweep


def threads_each(jobs: int) -> int:
    """The cores that a process has when ``jobs`` share them; fewer where OMP_NUM_THREADS says so."""
    share = max(1, available_cores() // jobs)
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(asked)) if asked.isdecimal() and int(asked) else share


def _point(config: SweepConfig, values: Values) -> Point:
    of_recipe = {key: value for key, value in values.items() if key != SEED}
    recipe = with_values(config.recipe, of_recipe, "--over")
    return Point(values=values, recipe=recipe, seed=values.get(SEED, config.seed))


def _each(points: Sequence[Point], base: Recipe, check: Callable[[Recipe], T]) -> list[T]:
    """What a check gives for each point; where it refuses one, its values are named, unless they are not to blame."""
    found, errors = [], []
    for point in points:
        try:
            found.append(check(point.recipe))
        except ConfigError as error:
            errors.append((point, error))
    if not errors:
        return found
    point, first = errors[0]
    if len(errors) == len(points) and {str(error) for _, error in errors} == {_refusal(base, check)}:
        raise first
    given = " ".join(f"{key}={value_text(value)}" for key, value in point.values.items() if key != SEED)
    raise ConfigError(f"--over {given}: {first}")


def _refusal(recipe: Recipe, check: Callable[[Recipe], object]) -> str | None:
    try:
        check(recipe)
    except ConfigError as error:
        return str(error)
    return None


def _refuse_twins(points: Sequence[Point], recipes: Sequence[CheckedRecipe]) -> None:
    """Two points may be written differently and be the same: 1 and 1.0, or a default and its value."""
    seen: dict[str, Point] = {}
    for point, recipe in zip(points, recipes, strict=True):
        twin = seen.setdefault(f"{point.seed} {canonical(recipe.recipe.as_dict())}", point)
        if twin is not point:
            raise ConfigError(
                f"Two points of the grid are the same model: {label(twin.values)} and {label(point.values)}: "
                "leave one of the values out."
            )


def _patches(recipes: Sequence[CheckedRecipe]) -> PatchConfig | None:
    """Of a sweep of models that are trained on patches: the same for all, or their figures could not be compared."""
    patches = recipes[0].training.patches
    if any(recipe.training.patches != patches for recipe in recipes):
        raise ConfigError(
            "--over training.patches would give each point other images, and the figures could not be compared: "
            "set it for all with --set."
        )
    return patches


def _base(config: SweepConfig, source: Source) -> dict[str, Any]:
    recipe, request = config.recipe.as_dict(), config.data
    return {
        "variant": config.recipe.name,
        **{table: recipe[table] for table in ("model", "corruption", "objective", "training")},
        "data": {
            # By name: where the images are is not what they are, and their digest is compared in time.
            "name": source.name,
            "image_shape": list(source.image_shape),
            "held_out": request.held_out,
        },
        **({SEED: config.seed} if config.seeds == 1 else {}),
    }


def _most_jobs(recipes: Sequence[CheckedRecipe], source: Source) -> int:
    """As many processes as the free memory holds."""

    def size(recipe: CheckedRecipe) -> int:
        return size_of_weights(lambda: build_model(recipe.recipe.model, source.image_shape).module)

    largest = max(size(recipe) for recipe in recipes)
    return max(1, available_memory() // (_PROCESS_BYTES + _COPIES_OF_WEIGHTS * largest))


def _check_folders(sweep: Sweep) -> None:
    """Refuse a folder that is not this sweep's, or that cannot be written."""
    out = sweep.config.out
    known = open_record(out, sweep.base, sweep.axes).points
    for name in sweep.record().points:
        if name in known:
            continue
        if (out / name).exists():
            raise ConfigError(
                f"{out / name} is there already, and is no point of this sweep: move it away, or name another --out."
            )
        check_destination(out / name, resume=False, overwrite=False)
