"""How fast the denoisers are, beside BM3D and non-local means, and what memory a large photograph takes.

Everybody has the same images and as many threads as there are cores; rounds are interleaved. What is timed is the call:
no decoding, no rounding, of non-local means no conversion to bytes. Memory is the peak of a process of its own (VmHWM,
so on Linux), whole and in tiles.

    python benchmarks/denoise_speed.py [--bundles DIR] [--rounds 5] [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
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
from denoise_methods import OURS, methods_of, opened
from measure import Seconds, at_least, high_water, interleave, ratio, report
from PIL import Image

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.shipped import COLOUR, GREY
from aedeploy.errors import MissingDependencyError
from aedeploy.evaluation.denoising.classical import find_classical
from aedeploy.evaluation.denoising.methods import Method
from aedeploy.evaluation.denoising.protocol import noisy_image
from aedeploy.runtime.codec import load
from aedeploy.runtime.cores import available_cores
from aedeploy.runtime.full_size import FullSize, usual_tile

ROOT = Path(__file__).resolve().parents[1]
SIGMA = 25.0

#: A contender, there for its turn only.
Turn = AbstractContextManager[Callable[[], object]]

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
        # No failure of  make bench:  the extra is not for everybody, by the licence of one of its packages.
        print(json.dumps({"benchmark": "denoise_speed", "skipped": str(error)}))
        return
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
    turns: dict[str, Callable[[], Turn]] = {
        name: partial(_over_all, partial(opened, bundle, name), images) for name in methods_of(bundle)
    }
    turns |= {method.name: partial(_over_all, partial(nullcontext, method), images) for method in _classical()}
    seconds = _in_turns(turns, rounds)
    pixels = sum(image.shape[0] * image.shape[1] for image in images)
    return {
        "images": [list(image.shape) for image in images],
        "threads": threads,
        "rounds": rounds,
        "seconds": seconds,
        "megapixels_per_second": {name: pixels / 1e6 / statistics.median(took) for name, took in seconds.items()},
        "times_as_fast_as": {name: ratio(seconds, name, OURS) for name in ("bm3d", "nlm")},
    }


def _classical() -> Sequence[Method]:
    return find_classical(["bm3d", "nlm"], available_cores())[0]


def _in_turns(turns: Mapping[str, Callable[[], Turn]], rounds: int) -> Seconds:
    """Seconds of each contender, round by round.

    Each is opened for its turn: the threads of a session keep spinning for a while, and slow down whoever is next.
    """
    seconds: Seconds = {name: [] for name in turns}
    for _ in range(rounds):
        for name, turn in turns.items():
            with turn() as call:
                seconds[name] += interleave({name: call}, rounds=1)[name]
    return seconds


@contextmanager
def _over_all(
    method: Callable[[], AbstractContextManager[Method]], images: Sequence[np.ndarray]
) -> Iterator[Callable[[], object]]:
    """A method's call for all of the images, which get their noise here."""
    with method() as one:
        taken = [one.taken(noisy_image(image, SIGMA, 0)) for image in images]
        yield lambda: [one.denoised(image, SIGMA) for image in taken]


def measure_large(
    bundle: Bundle, image: np.ndarray, megapixels: Sequence[float], rounds: int
) -> dict[str, dict[str, float]]:
    """Megapixels a second of an image enlarged to so many: σ told, σ estimated, and by non-local means."""
    nlm = next(method for method in _classical() if method.name == "nlm")
    found = {}
    for millions in megapixels:
        pixels = nlm.taken(noisy_image(enlarged(image, millions), SIGMA, 0))
        turns: dict[str, Callable[[], Turn]] = {
            "σ told": partial(_whole, bundle, pixels, SIGMA),
            "σ estimated": partial(_whole, bundle, pixels, None),
            "nlm": partial(nullcontext, partial(nlm.denoised, pixels, SIGMA)),
        }
        seconds = _in_turns(turns, rounds)
        size = pixels.shape[0] * pixels.shape[1] / 1e6
        found[f"{millions:g}"] = {name: size / statistics.median(took) for name, took in seconds.items()}
    return found


@contextmanager
def _whole(bundle: Bundle, pixels: np.ndarray, sigma: float | None) -> Iterator[Callable[[], object]]:
    """A photograph of bytes through the graph, in tiles where memory asks for them."""
    with load(bundle, format="onnx", threads=available_cores()) as codec:
        yield partial(FullSize(codec).reconstruct, pixels, sigma=sigma)


def measure_memory(bundle: Bundle, megapixels: Sequence[float]) -> dict[str, Any]:
    """The peak of one process, in MiB, with a photograph of so many megapixels whole, in tiles, and without one."""
    with load(bundle, format="onnx") as codec:
        found: dict[str, Any] = {"usual_tile": usual_tile(codec), "nothing": _peak(bundle, 0, 0), "megapixels": {}}
    for millions in megapixels:
        sides = {"whole": 2**14, **{f"tiles of {side}": side for side in TILES}}
        found["megapixels"][f"{millions:g}"] = {way: _peak(bundle, side, millions) for way, side in sides.items()}
    return found


def _peak(bundle: Bundle, tile: int, megapixels: float) -> dict[str, float] | None:
    """Of a process of its own; None where that failed, such as for want of memory."""
    words = [sys.executable, __file__, "--memory", str(bundle.path), str(tile), str(megapixels)]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=False, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


def _peak_here(bundle: Bundle, tile: int, megapixels: float) -> dict[str, float]:
    """Of this process; ``tile`` 0: the graph is opened and sees a small image."""
    channels = bundle.manifest.image.channels
    full = FullSize(load(bundle, format="onnx", threads=available_cores()), tile=tile or None)
    pixels = scene(64, 64, channels) if tile == 0 else enlarged(scene(96, 128, channels), megapixels)
    began = time.perf_counter()
    full.reconstruct(pixels, sigma=SIGMA)
    return {
        "seconds": time.perf_counter() - began,
        "mib": high_water(os.getpid()) / 2**20,
        "image_mib": pixels.nbytes / 2**20,
    }


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
