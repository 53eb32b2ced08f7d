"""What int8 and float16 save and cost, against float32 ONNX: size, throughput, dB; recipe by recipe, graph by graph.

    python benchmarks/quantised.py [RECIPE …] [--bundles DIR] [--size N] [--batch N] [--threads N]

Without ``--bundles`` (a folder of trained ones, by their recipe) each recipe is trained for an epoch on the embedded
digits, untimed. Calls are interleaved, so that whatever slows the machine slows all formats alike.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measure import Target, at_least, at_most, interleave, ratio, report

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.golden import load_samples
from aedeploy.bundle.manifest import ROLES
from aedeploy.export import export_bundle
from aedeploy.recipes import load_recipe
from aedeploy.runtime.open import open_graph
from aedeploy.training.config import TrainConfig
from aedeploy.training.run import train

RECIPES = (
    "ae",
    "conv",
    "deep-conv",
    "denoising",
    "fsq",
    "kl-conv",
    "strided-conv",
    "upsample-conv",
    "vq-vae",
)
BASELINE = "onnx"
FORMATS = (BASELINE, "onnx-fp16", "onnx-int8")
#: What was asked of int8, where the CPU has instructions for it.
SIZE, THROUGHPUT = 0.3, 1.3
_ROUNDS, _CALLS = 15, 5


def main() -> None:
    """Measure each recipe, and say for which int8 is worth it here."""
    given = _arguments()
    seconds: dict[str, list[float]] = {}
    targets: list[Target] = []
    recipes: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in given.recipes or RECIPES:
            bundle = _exported(name, Path(folder) / name, given.bundles)
            measured, figures = _measure(bundle, given)
            seconds |= {f"{name} {key}": rounds for key, rounds in measured.items()}
            int8 = figures["onnx-int8"]
            targets += [
                at_most(f"{name}: bytes of int8 against float32", int8["size"], SIZE),
                at_least(f"{name}: throughput of int8 against float32", int8["throughput"], THROUGHPUT),
            ]
            figures["int8_worth_it_here"] = int8["throughput"] >= 1.1 or int8["size"] <= 0.5
            recipes[name] = figures
    report(
        "quantised",
        seconds,
        targets,
        vnni=_has_vnni(),
        batch=given.batch,
        threads=given.threads,
        image_size=given.size,
        recipes=recipes,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE")
    parser.add_argument("--bundles", type=Path)
    parser.add_argument("--size", type=int, help="of images, for models that take any; default: as trained")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _exported(name: str, path: Path, bundles: Path | None) -> Bundle:
    if bundles is not None:
        shutil.copytree(bundles / name, path)
    else:
        for _ in train(TrainConfig(recipe=load_recipe(name, ["training.epochs=1"]), out=path, device="cpu")):
            pass
    bundle = open_bundle(path)
    return export_bundle(bundle.save(bundle.manifest.model_copy(update={"graphs": ()})), FORMATS, parity=False).bundle


def _measure(bundle: Bundle, given: argparse.Namespace) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Seconds of every format's graphs, by "format role", and the figures of each format against the baseline."""
    inputs = _inputs(bundle, given.batch, given.size)
    seconds: dict[str, list[float]] = {}
    for role in ROLES:
        runners = {name: open_graph(bundle, role, format=name, threads=given.threads) for name in FORMATS}
        contenders = {f"{name} {role}": _calls(runner, inputs[role]) for name, runner in runners.items()}
        seconds |= interleave(contenders, rounds=_ROUNDS, warm_up=2)
        for runner in runners.values():
            runner.close()
    return seconds, {name: _figures(bundle, name, seconds) for name in FORMATS if name != BASELINE}


def _inputs(bundle: Bundle, batch: int, size: int | None) -> dict[str, dict[str, np.ndarray]]:
    """What each graph is given: real images, of another size repeated side by side, and their latents."""
    samples = load_samples(bundle.file(bundle.manifest.golden))
    images = np.take(samples, range(batch), axis=0, mode="wrap").transpose(0, 3, 1, 2).astype(np.float32) / 255
    if size is not None and bundle.manifest.image.dynamic_size:
        more = [(0, 0), (0, 0), *((0, max(0, size - side)) for side in images.shape[2:])]
        images = np.pad(images, more, mode="wrap")[:, :, :size, :size]
    with open_graph(bundle, "encoder", format=BASELINE) as encoder:
        latent = encoder.run({"image": images})["latent"]
    return {"encoder": {"image": images}, "decoder": {"latent": latent}, "autoencoder": {"image": images}}


def _calls(runner: Any, inputs: dict[str, np.ndarray]) -> Any:
    def call() -> None:
        for _ in range(_CALLS):
            runner.run(inputs)

    return call


def _figures(bundle: Bundle, name: str, seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Of a format against the baseline: bytes, throughput (encoder and decoder in a row), and each graph's own."""
    graphs: dict[str, Any] = {}
    for role in ROLES:
        mine, base = bundle.graph(role, name), bundle.graph(role, BASELINE)
        record = mine.quantisation
        graphs[role] = {
            "size": round(mine.file.bytes / base.file.bytes, 3),
            "throughput": round(ratio(seconds, f"{BASELINE} {role}", f"{name} {role}"), 2),
            "psnr": record.psnr if record else None,
            "float_layers": len(record.float_layers) if record else None,
        }
    return {
        "size": round(_bytes(bundle, name) / _bytes(bundle, BASELINE), 3),
        "throughput": round(_both(seconds, BASELINE) / _both(seconds, name), 2),
        "graphs": graphs,
    }


def _bytes(bundle: Bundle, name: str) -> int:
    return sum(bundle.graph(role, name).file.bytes for role in ROLES)


def _both(seconds: dict[str, list[float]], name: str) -> float:
    return sum(statistics.median(seconds[f"{name} {role}"]) for role in ("encoder", "decoder"))


def _has_vnni() -> bool | None:
    """Whether this CPU adds up products of int8 in one instruction; None where that is not known."""
    try:
        flags: Sequence[str] = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return None
    return "avx512_vnni" in flags or "avx_vnni" in flags


if __name__ == "__main__":
    main()
