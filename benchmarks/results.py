"""``make results``: every recipe trained on MNIST for its own number of epochs, exported, proven, evaluated.

Writes docs/results.md. What is done is kept in artifacts/results and not done again as long as its recipe is the same;
a training that was interrupted goes on where it stopped. MNIST is read from the folder given, else from
../shared/data/mnist, else from where torchvision downloads it.

    python benchmarks/results.py [FOLDER] [--only RECIPE]…
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results_page import write_page

from aedeploy.recipes import load_recipe, recipe_from_dict, recipe_names
from aedeploy.training.validity import check_recipe

ROOT = Path(__file__).resolve().parents[1]
COMMAND = Path(sys.executable).with_name("aedeploy")
MNIST = ROOT.parent / "shared" / "data" / "mnist"
KEPT = ROOT / "artifacts" / "results"
PAGE = ROOT / "docs" / "results.md"


@dataclass(frozen=True)
class Run:
    """A recipe, or one with another setting that a figure is compared with."""

    recipe: str
    overrides: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        changed = [override.rpartition(".")[2].replace("=", "-") for override in self.overrides]
        return "-".join([self.recipe, *changed])

    def resolved(self) -> dict[str, Any]:
        """All of the recipe, as a manifest has it."""
        found: dict[str, Any] = json.loads(
            json.dumps(check_recipe(load_recipe(self.recipe, self.overrides)).recipe.as_dict())
        )
        return found


#: Of a recipe; what it says of itself trains nothing.
TABLES = ("model", "corruption", "objective", "training")

#: Beside the recipes: what their figures are held against.
COMPARED = (
    Run("mlp-2d", ("objective.reconstruction.loss=l1",)),
    Run("contractive", ("objective.contractive.weight=0",)),
)


def main() -> None:
    """Do what is not done yet, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=MNIST if MNIST.is_dir() else None)
    parser.add_argument("--only", action="append", default=[])
    asked = parser.parse_args()
    data = ["--data=mnist", *([f"--data-root={asked.folder}"] if asked.folder else [])]
    KEPT.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, Any]] = {}
    failed = []
    # Not those that train on patches of photographs: docs/denoising.md has them.
    of_mnist = [name for name in recipe_names() if "patches" not in load_recipe(name).training]
    for run in [*map(Run, of_mnist), *COMPARED]:
        done = _kept(run)
        if done is None and (not asked.only or run.recipe in asked.only):
            print(f"{run.name} …", file=sys.stderr, flush=True)
            try:
                done = _do(run, data)
            except subprocess.CalledProcessError as error:
                print(f"{run.name}: {error}", file=sys.stderr)
                failed.append(run.name)
        if done is not None:
            results[run.name] = done
            write_page(PAGE, results)
    if failed:
        sys.exit(f"These failed: {', '.join(failed)}.")


def _kept(run: Run) -> dict[str, Any] | None:
    path = KEPT / f"{run.name}.json"
    if not path.is_file():
        return None
    done: dict[str, Any] = json.loads(path.read_text())
    # With what has become a setting since written out, as its default.
    before, resolved = check_recipe(recipe_from_dict(done["recipe"])).recipe.as_dict(), run.resolved()
    return done if all(before[table] == resolved[table] for table in TABLES) else None


def _do(run: Run, data: Sequence[str]) -> dict[str, Any]:
    bundle = KEPT / run.name
    trained = _train(run, bundle, data)
    exported = _aedeploy("export", bundle, "--format=onnx", "--format=torchscript")
    manifest = _read(bundle / "bundle.json")
    history = [json.loads(line) for line in (bundle / "history.jsonl").read_text().splitlines()]
    result = {
        "recipe": run.resolved(),
        "parameters": _parameters(bundle),
        "test": trained["test"],
        "history": history,
        "train_seconds": sum(epoch["seconds"] for epoch in history),
        "graphs": exported["graphs"],
        "parity": _read(bundle / "parity.json"),
        "evaluation": _aedeploy("evaluate", bundle, *data, "--sigma=0.1", "--sigma=0.25", "--sigma=0.5"),
        "jacobian": _jacobian(bundle),
        "packages": manifest["provenance"]["packages"],
        "platform": manifest["provenance"]["platform"],
    }
    (KEPT / f"{run.name}.json").write_text(json.dumps(result))
    return result


def _train(run: Run, bundle: Path, data: Sequence[str]) -> dict[str, Any]:
    options = [f"--variant={run.recipe}", *data, f"--out={bundle}", "--device=cpu"]
    options += [f"--set={override}" for override in run.overrides]
    if (bundle / "checkpoint.safetensors").is_file():
        try:
            return _aedeploy("train", *options, "--resume")
        except subprocess.CalledProcessError:
            print("  begun with another recipe: again from the start", file=sys.stderr)
    return _aedeploy("train", *options, "--overwrite")


def _aedeploy(*arguments: str | Path) -> dict[str, Any]:
    done = subprocess.run(
        [str(part) for part in (COMMAND, *arguments, "--json")], stdout=subprocess.PIPE, check=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def _parameters(bundle: Path) -> int:
    from aedeploy.bundle import open_bundle
    from aedeploy.models.load import load_model

    return sum(parameter.numel() for parameter in load_model(open_bundle(bundle)).module.parameters())


def _jacobian(bundle: Path) -> float:
    """The mean of ‖∂latent/∂image‖²_F over the bundle's sample images, by autograd, exactly."""
    import torch

    from aedeploy.bundle import open_bundle
    from aedeploy.bundle.golden import load_samples
    from aedeploy.models.load import load_model

    opened = open_bundle(bundle)
    samples = load_samples(opened.file(opened.manifest.golden))
    images = torch.from_numpy(samples).permute(0, 3, 1, 2).float() / 255.0
    model = load_model(opened).module
    images.requires_grad_()
    latent = model.encode(images)["latent"].flatten(1)
    total = 0.0
    for unit in range(latent.shape[1]):
        if not latent.requires_grad:  # indices into a codebook have no derivative
            return 0.0
        (gradient,) = torch.autograd.grad(latent[:, unit].sum(), images, retain_graph=True)
        total += gradient.square().sum().item()
    return total / len(images)


if __name__ == "__main__":
    main()
