"""How long ``aedeploy report`` of a 28×28 bundle takes, and how large its page is, beside the imports it needs."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from measure import at_most, interleave, process, ratio, report

from aedeploy.bundle import open_bundle
from aedeploy.export import export_bundle
from aedeploy.recipes import load_recipe
from aedeploy.training.config import TrainConfig
from aedeploy.training.data.source import DataRequest
from aedeploy.training.run import train

COMMAND = Path(sys.executable).with_name("aedeploy")
#: A latent of two numbers, a codebook, convolutions: together they have every picture.
RECIPES = ("vae-2d", "vq-vae", "denoising")
IMPORTS = "import torch, onnxruntime, matplotlib.figure, sklearn.decomposition, sklearn.mixture, jinja2"
ROUNDS = 5
MOST_SECONDS, MOST_BYTES = 10.0, 3e6


def main() -> None:
    """Train each recipe for an epoch, and write its report several times, process included."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundles = [_bundle(recipe, folder) for recipe in RECIPES]
        commands = {
            f"report {path.name}": process([COMMAND, "report", str(path), "--quiet"], folder) for path in bundles
        }
        seconds = interleave(
            {"imports": process([sys.executable, "-c", IMPORTS], folder), **commands}, rounds=ROUNDS, warm_up=1
        )
        sizes = {path.name: (path / "report.html").stat().st_size for path in bundles}
    targets = [
        *(at_most(f"{command}, seconds", statistics.median(seconds[command]), MOST_SECONDS) for command in commands),
        *(at_most(f"{bundle}, bytes", float(size), MOST_BYTES) for bundle, size in sizes.items()),
    ]
    ratios = {command: round(ratio(seconds, command, "imports"), 2) for command in commands}
    report("report", seconds, targets, bytes=sizes, against_imports=ratios)


def _bundle(recipe: str, folder: Path) -> Path:
    config = TrainConfig(
        recipe=load_recipe(recipe, ["training.epochs=1"]),
        out=folder / recipe,
        data=DataRequest(data="digits"),
        device="cpu",
    )
    list(train(config))
    export_bundle(open_bundle(folder / recipe), ["onnx"])
    return folder / recipe


if __name__ == "__main__":
    main()
