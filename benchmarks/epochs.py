"""An epoch of every recipe: aedeploy's loop beside the usual one, and beside the bare step.

The usual loop: torchvision's MNIST with ToTensor, a shuffling DataLoader with two workers (which stay alive between
epochs, so that their start does not count), torch.optim, ``loss.item()`` for the running mean; the same model,
corruption and losses. The bare step: the same batches out of memory, forward, backward, the optimiser, and nothing
else. All in this process, in turn, on the first images of MNIST.

    python benchmarks/epochs.py [RECIPE]…
"""

from __future__ import annotations

import gzip
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from measure import Seconds, Target, at_least, at_most, interleave, ratio, report
from torch.utils.data import DataLoader, Subset

from aedeploy.data import idx
from aedeploy.models.build import PixelStatistics, build_model
from aedeploy.recipes import load_recipe, recipe_names
from aedeploy.runtime.cores import available_cores
from aedeploy.training.allocator import keep_freed_memory
from aedeploy.training.data.image_set import MemoryImages
from aedeploy.training.events import EpochDone
from aedeploy.training.loop import Fit
from aedeploy.training.measure import to_unit
from aedeploy.training.methods import Batch
from aedeploy.training.validity import CheckedRecipe, check_recipe

MNIST = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
ROUNDS = 3
# As many as take about a second: what is done once an epoch must not weigh more than in a real one.
IMAGES = {True: 25_600, False: 6_400}  # fully connected, or not
CPU = torch.device("cpu")
MNIST_PIXELS = PixelStatistics(mean=[0.1307], std=[0.3081])


@dataclass
class Contest:
    """A recipe's model, once for each contender."""

    recipe: CheckedRecipe
    images: MemoryImages
    loader: DataLoader[tuple[torch.Tensor, int]]

    def fit(self) -> Fit:
        torch.manual_seed(0)
        built = build_model(self.recipe.recipe.model, self.images.image_shape, MNIST_PIXELS)
        pixels = prod(self.images.image_shape)
        return Fit(built.module, self.recipe, pixels=pixels, seed=0, device=CPU)

    def aedeploy(self) -> Callable[[], None]:
        fit = self.fit()
        few = MemoryImages(self.images.images[:2])

        def epoch() -> None:
            # Always the first epoch of the last phase.
            fit.progress.epoch = sum(phase.epochs for phase in fit.phases[:-1])
            fit.totals = fit._new_totals()
            for event in fit.run(self.images, few, tick_seconds=0.2):
                if isinstance(event, EpochDone):
                    return

        return epoch

    def usual(self) -> Callable[[], None]:
        fit = self.fit()
        optimizers = {
            name: torch.optim.Adam(named.values(), lr=self.recipe.training.lr) for name, named in fit.players.items()
        }
        last = len(fit.phases) - 1

        def epoch() -> None:
            running = 0.0
            for clean, _label in self.loader:
                batch = Batch(corrupted=fit.corruptions(clean).image_BCHW, clean=clean, phase=last, epoch=0.0)
                for loss in fit.method.losses(batch):
                    optimizers[loss.player].zero_grad()
                    loss.value.backward()
                    optimizers[loss.player].step()
                    running += loss.value.item()

        return epoch

    def bare(self) -> Callable[[], None]:
        fit = self.fit()
        size, last = self.recipe.training.batch_size, len(fit.phases) - 1

        def epoch() -> None:
            order = torch.randperm(len(self.images))
            for positions in torch.split(order, size):
                clean = to_unit(self.images.images.index_select(0, positions), CPU)
                batch = Batch(corrupted=fit.corruptions(clean).image_BCHW, clean=clean, phase=last, epoch=0.0)
                for loss in fit.method.losses(batch):
                    loss.value.backward()
                    fit.optimizers[loss.player].step(self.recipe.training.lr)

        return epoch


def main() -> None:
    """One report: every recipe's three times, and the ratios that were asked for."""
    if not MNIST.is_dir():
        sys.exit("MNIST's files are not beside this checkout, in ../shared/data/mnist.")
    torch.set_num_threads(available_cores())
    keep_freed_memory()  # for all contenders alike
    # Not those that train on patches of photographs, which MNIST has none of.
    names = sys.argv[1:] or [name for name in recipe_names() if "patches" not in load_recipe(name).training]
    pixels = idx.read_idx_images(MNIST / "train-images-idx3-ubyte.gz")
    seconds: Seconds = {}
    targets: list[Target] = []
    overheads = []
    with tempfile.TemporaryDirectory() as root:
        for name in names:
            recipe = check_recipe(load_recipe(name))
            connected = recipe.recipe.model["backbone"]["name"] == "mlp"
            count = IMAGES[connected]
            contest = Contest(recipe, MemoryImages.of(pixels[:count]), _loader(Path(root), count))
            found = interleave(
                {"usual loop": contest.usual(), "aedeploy": contest.aedeploy(), "bare step": contest.bare()},
                rounds=ROUNDS,
            )
            seconds |= {f"{name}: {contender}": rounds for contender, rounds in found.items()}
            least = 3.0 if connected else 1.0
            targets.append(at_least(f"{name}: the usual loop's epoch", ratio(found, "usual loop", "aedeploy"), least))
            overheads.append(ratio(found, "aedeploy", "bare step"))
            targets.append(at_most(f"{name}: the bare step's", overheads[-1], 1.05))
            print(f"{name}: {targets[-2].value:.2f} × faster, {overheads[-1]:.3f} of bare", file=sys.stderr, flush=True)
    targets.append(at_most("the bare step's, median of all recipes", statistics.median(overheads), 1.05))
    report("epochs", seconds, targets)


def _loader(root: Path, images: int) -> DataLoader[tuple[torch.Tensor, int]]:
    from torchvision import datasets, transforms

    raw = root / "MNIST" / "raw"
    if not raw.is_dir():
        raw.mkdir(parents=True)
        for file in MNIST.glob("*-ubyte.gz"):
            (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    data = Subset(datasets.MNIST(root, train=True, transform=transforms.ToTensor()), range(images))
    return DataLoader(data, batch_size=128, shuffle=True, num_workers=2, persistent_workers=True)


if __name__ == "__main__":
    main()
