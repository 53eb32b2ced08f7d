"""The shipped denoisers measured, beside BM3D and non-local means, into docs/denoising.md.

Quality by the protocol of ``aedeploy evaluate --denoising`` on BSD68, Set12 and photographs that nothing was trained
on; then what denoise_speed.py measures; the curve of the training; pictures. Each part is kept in
artifacts/denoising/figures.json when it is done, so that the page can be written anew by itself. What BM3D and
non-local means come to is kept by image, σ, seed and version in artifacts/denoising/classical.jsonl: new weights need
none of it again. Speed is always measured anew.

    python benchmarks/denoise.py [--bundles DIR] [--part quality]…
    python benchmarks/denoise.py --page         the page from what was kept
    python benchmarks/denoise.py --quick        few images, into a folder of its own, and no page: to see that it runs
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from io import BytesIO
from itertools import islice
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from denoise_methods import methods_of, opened
from denoise_page import write_page
from denoise_pictures import write_pictures
from denoise_speed import measure_large, measure_memory, measure_speed
from photographs import held_out, shrunk
from PIL import Image
from ship_denoisers import FIGURES_FILE, read_figures, size_of

from aedeploy.bench.machine import machine
from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.shipped import COLOUR, GREY
from aedeploy.bundle.store import HISTORY_FILE
from aedeploy.evaluation.denoising.classical import find_classical
from aedeploy.evaluation.denoising.estimate import AutoSums
from aedeploy.evaluation.denoising.methods import Method
from aedeploy.evaluation.denoising.protocol import DEFAULT_SIGMAS, noisy_image, rounded
from aedeploy.evaluation.denoising.result import Row, summarised
from aedeploy.evaluation.denoising.run import CleanImages, measured, noisy_row
from aedeploy.files import write_json
from aedeploy.images.noise_level import estimated_sigma
from aedeploy.runtime.codec import load
from aedeploy.runtime.full_size import FullSize

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
KEPT = ROOT / "artifacts" / "denoising"
PAGE = ROOT / "docs" / "denoising.md"
PARTS = ("quality", "auto", "jpeg", "speed", "large", "memory", "training", "pictures")
SEED = 0

#: What a photograph's noise goes through when it is saved: qualities of JPEG; None: not at all.
JPEG_SIGMA, JPEG_QUALITIES = 15.0, (None, 95, 90, 75)

#: Of the training's curve, what is printed.
EPOCHS = (1, 10, 25, 50, 75, 100)


def main() -> None:
    """Measure what was asked for, keep it, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", type=Path, default=ROOT / "artifacts", help=f"Where {GREY} and {COLOUR} are.")
    parser.add_argument("--part", action="append", choices=PARTS, help="Measure this only; repeatable.")
    parser.add_argument("--page", action="store_true", help="Measure nothing.")
    parser.add_argument("--quick", action="store_true", help="Few images and rounds, and no page.")
    trained = ROOT / "artifacts" / "results"
    parser.add_argument("--trained", type=Path, default=trained, help="Where their training left its history.")
    asked = parser.parse_args()
    kept = KEPT / "quick" if asked.quick else KEPT
    kept.mkdir(parents=True, exist_ok=True)
    subject = Subject(asked.bundles, asked.trained, kept, quick=asked.quick)
    for part in () if asked.page else asked.part or PARTS:
        print(f"{part} …", file=sys.stderr, flush=True)
        _keep(kept, {part: _measure(part, subject)}, list(subject.bundles.values()))
    figures = read_figures(kept)
    if not asked.quick:
        # Their sizes as they are now, with the cards that earlier figures are in.
        now = {name: _about(bundle) for name, bundle in subject.bundles.items()}
        if any(now[name]["weights_sha256"] != about["weights_sha256"] for name, about in figures["bundles"].items()):
            raise SystemExit("What was measured is of other weights: measure again, without --page.")
        write_page(PAGE, {**figures, "bundles": now})
    print(json.dumps({"benchmark": "denoise", "kept": str(kept / FIGURES_FILE), "parts": sorted(figures)}))


@dataclass
class Subject:
    """What is measured, and on what: read once, when it is first asked for."""

    folder: Path
    trained: Path
    kept: Path
    quick: bool

    @cached_property
    def bundles(self) -> dict[str, Bundle]:
        return {name: open_bundle(self.folder / name) for name in (GREY, COLOUR)}

    @cached_property
    def sets(self) -> dict[str, tuple[Bundle, CleanImages]]:
        """The images, and the bundle that is measured by them."""
        limit = 2 if self.quick else None
        photographs = self.kept / "photographs"
        _write_photographs(photographs)
        return {
            "bsd68": (self.bundles[GREY], CleanImages(DATA / "bsd68", "L", limit)),
            "set12": (self.bundles[GREY], CleanImages(DATA / "set12", "L", limit)),
            "photographs": (self.bundles[COLOUR], CleanImages(photographs, "RGB", limit)),
        }

    @cached_property
    def examples(self) -> dict[str, list[np.ndarray]]:
        """By bundle, three images, for speed."""
        return {
            name: [clean for _, clean in islice(self.sets[images][1].read(), 3)]
            for name, images in ((GREY, "bsd68"), (COLOUR, "photographs"))
        }


def _measure(part: str, subject: Subject) -> Any:
    quick, bundles = subject.quick, subject.bundles
    if part == "quality":
        cache = Cache(KEPT / "classical.jsonl")
        return {name: _quality(bundle, images, cache) for name, (bundle, images) in subject.sets.items()}
    if part == "auto":
        return {name: _auto(bundle, images) for name, (bundle, images) in subject.sets.items()}
    if part == "jpeg":
        return _jpeg(subject.sets["photographs"][1])
    if part == "speed":
        rounds = 1 if quick else 5
        return {name: measure_speed(bundle, subject.examples[name], rounds) for name, bundle in bundles.items()}
    if part == "large":
        millions, rounds = ((0.25, 0.5), 1) if quick else ((1, 4, 12), 5)
        return {
            name: measure_large(bundle, subject.examples[name][0], millions, rounds) for name, bundle in bundles.items()
        }
    if part == "memory":
        return {name: measure_memory(bundle, (1,) if quick else (1, 4, 12)) for name, bundle in bundles.items()}
    if part == "training":
        return {name: _training(bundle, subject.trained / name) for name, bundle in bundles.items()}
    return write_pictures(subject.kept if quick else PAGE.parent, DATA / "photos", bundles[GREY], bundles[COLOUR])


def _write_photographs(folder: Path) -> None:
    """The held-out photographs, as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in held_out(DATA / "photos"):
        shrunk(path, "RGB").save(folder / f"{path.stem}.png")


def _quality(bundle: Bundle, images: CleanImages, cache: Cache) -> dict[str, Any]:
    # One thread: BM3D's sums depend on how many there are, in digits that do not show.
    classical, _ = find_classical(["bm3d", "nlm"], 1)
    rows: list[Row] = []
    with ExitStack() as stack:
        ours = [stack.enter_context(opened(bundle, name)) for name in methods_of(bundle)]
        for name, clean in images.read():
            for sigma in DEFAULT_SIGMAS:
                noisy = noisy_image(clean, sigma, SEED)
                rows.append(noisy_row(name, clean, noisy, sigma))
                rows += [measured(method, name, clean, noisy, sigma) for method in ours]
                rows += [cache.row(method, name, clean, noisy, sigma) for method in classical]
            print(f"  {name}", file=sys.stderr, flush=True)
    return {
        "images": len(images.names),
        "megapixels": sum({row.image: row.megapixels for row in rows}.values()),
        "results": [{key: asdict(at)[key] for key in ("sigma", "method", "psnr", "ssim")} for at in summarised(rows)],
        "rows": [asdict(row) for row in rows],
    }


def _auto(bundle: Bundle, images: CleanImages) -> dict[str, Any]:
    assert bundle.manifest.noise is not None
    with load(bundle, format="onnx") as codec:
        sums = AutoSums(FullSize(codec), bundle.manifest.noise.maximum, SEED)
        for _, clean in images.read():
            sums.add(clean)
    return asdict(sums.figures())


def _jpeg(images: CleanImages) -> dict[str, Any]:
    """What is estimated of noise that was saved as JPEG, by quality: the median over the images."""
    found: dict[str, list[float]] = {}
    for _, clean in images.read():
        pixels = rounded(noisy_image(clean, JPEG_SIGMA, SEED))
        for quality in JPEG_QUALITIES:
            saved = pixels if quality is None else _through_jpeg(pixels, quality)
            found.setdefault("none" if quality is None else str(quality), []).append(estimated_sigma(saved))
    medians = {quality: median(values) for quality, values in found.items()}
    return {"sigma": JPEG_SIGMA, "images": len(images.names), "medians": medians}


def _through_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    """With the chroma halved, as cameras and Pillow do."""
    saved = BytesIO()
    Image.fromarray(pixels).save(saved, "JPEG", quality=quality)
    return np.asarray(Image.open(saved).convert("RGB"))


def _training(bundle: Bundle, trained: Path) -> dict[str, Any] | None:
    """The curve, from the history that training left; None where it is not there, or of other weights."""
    history = trained / HISTORY_FILE
    if not history.is_file() or open_bundle(trained).manifest.weights.sha256 != bundle.manifest.weights.sha256:
        return None
    epochs = [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()]
    images = median(round(at["seconds"] * at["images_per_second"]) for at in epochs)
    batch: int = bundle.manifest.recipe["training"]["batch_size"]
    return {
        "epochs": len(epochs),
        "steps": len(epochs) * round(images / batch),
        "seconds_an_epoch": median(at["seconds"] for at in epochs),
        "hours": fmean(at["seconds"] for at in epochs) * len(epochs) / 3600,
        "best_epoch": max(at["epoch"] for at in epochs if at["best"]),
        "held_out_loss": {str(at["epoch"]): at["held_out_loss"] for at in epochs if at["epoch"] in EPOCHS},
    }


class Cache:
    """What a classical method came to on an image: the same as long as image, σ, seed, version and settings are.

    A line for each, appended when it is known: an interrupted run loses one, and two runs may share the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        self._known: dict[str, dict[str, Any]] = {line["key"]: line["row"] for line in map(json.loads, lines)}

    def row(self, method: Method, name: str, clean: np.ndarray, noisy: np.ndarray, sigma: float) -> Row:
        """Measured now, or kept from before; without seconds."""
        digest = hashlib.sha256(clean.tobytes()).hexdigest()[:16]
        shape = "×".join(map(str, clean.shape))
        settings = f"{method.name} {method.setup.version} {method.setup.settings}"
        key = f"{digest} {shape} σ={sigma:g} seed={SEED} {settings}"
        if key not in self._known:
            self._known[key] = asdict(measured(method, name, clean, noisy, sigma))
            with open(self._path, "a", encoding="utf-8") as stream:
                stream.write(json.dumps({"key": key, "row": self._known[key]}, ensure_ascii=False) + "\n")
        return Row(**{**self._known[key], "image": name, "seconds": None})


def _keep(kept: Path, measured_now: dict[str, Any], bundles: Sequence[Bundle]) -> None:
    """Write what was measured beside what was before, and on what; of other weights nothing stays."""
    before = read_figures(kept)
    del before["int8"]  # is in a file of its own
    about = {bundle.name: _about(bundle) for bundle in bundles}
    weights = {name: one["weights_sha256"] for name, one in about.items()}
    if {name: one["weights_sha256"] for name, one in before.get("bundles", {}).items()} != weights:
        before = {}
    names = ("aedeploy", "onnxruntime", "numpy", "pillow", "bm3d", "bm4d", "opencv-python-headless", "scipy")
    here = machine()
    found = {
        "bundles": about,
        "machine": {"cores": here["cores"], "processor": here["processor"]},
        "packages": {name: version(name) for name in names},
    }
    write_json(kept / FIGURES_FILE, before | measured_now | found)


def _about(bundle: Bundle) -> Mapping[str, Any]:
    manifest = bundle.manifest
    return {
        "weights_sha256": manifest.weights.sha256,
        "bundle_bytes": size_of(bundle),
        "graphs": {graph.file.path: graph.file.bytes for graph in manifest.graphs},
        "created": manifest.provenance.created,
        "epochs": manifest.metrics.get("epochs"),
    }


if __name__ == "__main__":
    main()
