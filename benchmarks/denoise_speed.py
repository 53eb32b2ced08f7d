"""How fast the denoisers are, beside BM3D and non-local means, and what memory a large photograph takes.

Everybody has the same images and as many threads as there are cores; rounds are interleaved. What is timed is the call:
no decoding, no rounding, of non-local means no conversion to bytes. Memory is the peak of a process of its own (VmHWM,
so on Linux), whole and in tiles.

    python benchmarks/denoise_speed.py [--bundles DIR] [--rounds 5] [--quick]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
from measure import Seconds, at_least, interleave, ratio, report
from PIL import Image

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.shipped import COLOUR, GREY
from aedeploy.errors import MissingDependencyError
from aedeploy.evaluation.denoising.classical import find_classical
from aedeploy.evaluation.denoising.methods import BundleMethod, Method, Told
from aedeploy.evaluation.denoising.protocol import noisy_image
from aedeploy.runtime.codec import load
from aedeploy.runtime.cores import available_cores
from aedeploy.runtime.full_size import FullSize, usual_tile

ROOT = Path(__file__).resolve().parents[1]
SIGMA = 25.0

#: Sides of tiles, in pixels, whose memory is measured.
TILES = (256, 512, 1024, 2048)


def main() -> None:
    """Print the figures of both bundles as one object, or, in a process of its own, measure memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", type=Path, default=ROOT / "artifacts", help=f"Where {GREY} and {COLOUR} are.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="One round, small images.")
    parser.add_argument("--memory", nargs=3, metavar=("BUNDLE", "TILE", "MEGAPIXELS"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.memory:
        folder, tile, megapixels = asked.memory
        print(json.dumps(_peak_here(open_bundle(Path(folder)), int(tile), float(megapixels))))
        return
    try:
        find_classical(["bm3d", "nlm"], 1)
    except MissingDependencyError as error:
        sys.exit(str(error))
    seconds, targets, speeds = {}, [], {}
    for name in (GREY, COLOUR):
        bundle = open_bundle(asked.bundles / name)
        channels = bundle.manifest.image.channels
        side = (96, 64) if asked.quick else (481, 321)
        found = measure_speed(bundle, [scene(*side, channels)], 1 if asked.quick else asked.rounds)
        seconds |= {f"{name}, {method}": rounds for method, rounds in found["seconds"].items()}
        targets.append(at_least(f"{name}: times as fast as BM3D", found["times_as_fast_as"]["bm3d"], 25))
        targets.append(at_least(f"{name}: times as fast as non-local means", found["times_as_fast_as"]["nlm"], 1))
        speeds[name] = measure_large(bundle, scene(*side, channels), (0.25,) if asked.quick else (1, 4), 1)
    report("denoise_speed", seconds, targets, megapixels_per_second=speeds)


def measure_speed(bundle: Bundle, images: Sequence[np.ndarray], rounds: int) -> dict[str, Any]:
    """Images, uint8 [H, W, C], at σ = 25 by each method: seconds of a round, and how many times as fast ours is."""
    threads = available_cores()
    methods: dict[str, Callable[[], AbstractContextManager[Method]]] = {
        "denoiser": partial(_opened, bundle, "onnx", "sigma", threads),
        "denoiser, σ estimated": partial(_opened, bundle, "onnx", "auto", threads),
    }
    if any(graph.format == "onnx-int8" for graph in bundle.manifest.graphs):
        methods["denoiser, int8"] = partial(_opened, bundle, "onnx-int8", "sigma", threads)
    methods |= {method.name: partial(nullcontext, method) for method in find_classical(["bm3d", "nlm"], threads)[0]}
    seconds: Seconds = {name: [] for name in methods}
    for _ in range(rounds):
        # Opened for its turn only: the threads of a session keep spinning for a while, and slow down whoever is next.
        for name, opened in methods.items():
            with opened() as method:
                seconds[name] += interleave({name: _calls(method, images)}, rounds=1)[name]
    pixels = sum(image.shape[0] * image.shape[1] for image in images)
    return {
        "images": [list(image.shape) for image in images],
        "threads": threads,
        "rounds": rounds,
        "seconds": seconds,
        "megapixels_per_second": {name: pixels / 1e6 / statistics.median(took) for name, took in seconds.items()},
        "times_as_fast_as": {name: ratio(seconds, name, "denoiser") for name in ("bm3d", "nlm")},
    }


@contextmanager
def _opened(bundle: Bundle, format: str, told: Told, threads: int) -> Iterator[Method]:
    with load(bundle, format=format, threads=threads) as codec:
        yield BundleMethod(codec, told)


def _calls(method: Method, images: Sequence[np.ndarray]) -> Callable[[], None]:
    taken = [method.taken(noisy_image(image, SIGMA, 0)) for image in images]

    def run() -> None:
        for image in taken:
            method.denoised(image, SIGMA)

    return run


def measure_large(
    bundle: Bundle, image: np.ndarray, megapixels: Sequence[float], rounds: int
) -> dict[str, dict[str, float]]:
    """Megapixels a second of an image enlarged to so many: σ told, σ estimated, and by non-local means."""
    codec = load(bundle, format="onnx", threads=available_cores())
    full = FullSize(codec)
    (nlm,), _ = find_classical(["nlm"], available_cores())
    found = {}
    for millions in megapixels:
        pixels = nlm.taken(noisy_image(enlarged(image, millions), SIGMA, 0))
        contenders: Mapping[str, Callable[[], object]] = {
            "σ told": partial(full.reconstruct, pixels, sigma=SIGMA),
            "σ estimated": partial(full.reconstruct, pixels),
            "nlm": partial(nlm.denoised, pixels, SIGMA),
        }
        seconds = interleave(contenders, rounds=rounds)
        size = pixels.shape[0] * pixels.shape[1] / 1e6
        found[f"{millions:g}"] = {name: size / statistics.median(took) for name, took in seconds.items()}
    return found


def measure_memory(bundle: Bundle, megapixels: float) -> dict[str, Any]:
    """The peak of one process, in MiB, with a photograph of so many megapixels whole, in tiles, and without one."""
    found: dict[str, Any] = {"megapixels": megapixels, "usual_tile": usual_tile(load(bundle, format="onnx"))}
    for name, tile in {"nothing": 0, "whole": 2**14, **{f"tiles of {side}": side for side in TILES}}.items():
        words = [sys.executable, __file__, "--memory", str(bundle.path), str(tile), str(megapixels)]
        done = subprocess.run(words, stdout=subprocess.PIPE, check=False, text=True)
        found[name] = json.loads(done.stdout) if done.returncode == 0 else None
    return found


def _peak_here(bundle: Bundle, tile: int, megapixels: float) -> dict[str, float]:
    """Of this process; ``tile`` 0: the graph is opened and sees a small image."""
    channels = bundle.manifest.image.channels
    full = FullSize(load(bundle, format="onnx", threads=available_cores()), tile=tile or None)
    pixels = scene(64, 64, channels) if tile == 0 else enlarged(scene(96, 128, channels), megapixels)
    began = time.perf_counter()
    full.reconstruct(pixels, sigma=SIGMA)
    return {"seconds": time.perf_counter() - began, "mib": _high_water() / 2**20, "image_mib": pixels.nbytes / 2**20}


def _high_water() -> int:
    """Bytes that this process has had at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def enlarged(image: np.ndarray, megapixels: float) -> np.ndarray:
    """An image, uint8 [H, W, C], of its own aspect with so many million pixels, its sides multiples of 8."""
    height, width = image.shape[:2]
    factor = sqrt(megapixels * 1e6 / (height * width))
    size = (round(width * factor / 8) * 8, round(height * factor / 8) * 8)
    plain = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    return np.asarray(plain.resize(size, Image.Resampling.BICUBIC)).reshape(size[1], size[0], image.shape[2])


def scene(height: int, width: int, channels: int) -> np.ndarray:
    """uint8 [height, width, channels] with waves of all sizes in it: speed and memory do not depend on what is seen."""
    ys, xs = np.mgrid[0:height, 0:width]
    waves = np.sin((xs + ys) ** 2 / (40.0 * width)) + np.cos(ys * xs / (30.0 * height))
    return np.repeat(np.rint(127.5 + 60.0 * waves).astype(np.uint8)[:, :, None], channels, axis=2)


if __name__ == "__main__":
    main()
