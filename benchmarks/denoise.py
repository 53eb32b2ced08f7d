"""The shipped denoisers measured, beside BM3D and non-local means, into docs/denoising.md.

Quality by the protocol of ``aedeploy evaluate --denoising`` on BSD68, Set12 and photographs that nothing was trained
on; then what denoise_speed.py measures; then pictures. Each part is kept in artifacts/denoising/figures.json when it is
done, so that the page can be written anew by itself. What BM3D and non-local means come to is kept by image, σ, seed
and version in artifacts/denoising/classical.jsonl: new weights need none of it again. Speed is always measured anew.

    python benchmarks/denoise.py [--bundles DIR] [--part quality]…
    python benchmarks/denoise.py --page         the page and its pictures from what was kept
    python benchmarks/denoise.py --quick        few images, into a folder of its own, and no page: to see that it runs
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from denoise_page import write_page
from denoise_pictures import write_pictures
from denoise_speed import measure_large, measure_memory, measure_speed
from PIL import Image, ImageOps

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.shipped import COLOUR, GREY
from aedeploy.evaluation.denoising.classical import find_classical
from aedeploy.evaluation.denoising.estimate import AutoSums
from aedeploy.evaluation.denoising.methods import BundleMethod, Method
from aedeploy.evaluation.denoising.protocol import DEFAULT_SIGMAS, noisy_image
from aedeploy.evaluation.denoising.result import Row, summarised
from aedeploy.evaluation.denoising.run import CleanImages, measured, noisy_row
from aedeploy.files import write_json
from aedeploy.runtime.codec import load
from aedeploy.runtime.cores import available_cores
from aedeploy.runtime.full_size import FullSize

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
KEPT = ROOT / "artifacts" / "denoising"
PAGE = ROOT / "docs" / "denoising.md"
PARTS = ("quality", "auto", "speed", "large", "memory")
SEED = 0

#: Of the photographs, those that nothing was trained on; shrunk by this, so that little is left of what JPEG did.
HELD_OUT, SHRINK = "exif-samples/exif-org__*.jpg", 2

#: The names of ours in figures.json.
OURS, INT8, AUTO = "denoiser", "denoiser, int8", "denoiser, σ estimated"


def main() -> None:
    """Measure what was asked for, keep it, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", type=Path, default=ROOT / "artifacts", help=f"Where {GREY} and {COLOUR} are.")
    parser.add_argument("--part", action="append", choices=PARTS, help="Measure this only; repeatable.")
    parser.add_argument("--page", action="store_true", help="Measure nothing.")
    parser.add_argument("--quick", action="store_true", help="Few images and rounds, and no page.")
    asked = parser.parse_args()
    kept = KEPT / "quick" if asked.quick else KEPT
    kept.mkdir(parents=True, exist_ok=True)
    grey, colour = (open_bundle(asked.bundles / name) for name in (GREY, COLOUR))
    for part in () if asked.page else asked.part or PARTS:
        print(f"{part} …", file=sys.stderr, flush=True)
        _keep(kept, {part: _measure(part, grey, colour, kept, quick=asked.quick)}, (grey, colour))
    figures = _read(kept / "figures.json")
    if not asked.quick:
        figures["pictures"] = write_pictures(PAGE.parent, DATA / "photos", grey, colour)
        write_page(PAGE, figures)
    print(json.dumps({"benchmark": "denoise", "kept": str(kept / "figures.json"), "parts": sorted(figures)}))


def _measure(part: str, grey: Bundle, colour: Bundle, kept: Path, *, quick: bool) -> Any:
    sets = _sets(grey, colour, kept / "photographs", 2 if quick else None)
    if part == "quality":
        cache = Cache(KEPT / "classical.jsonl")
        return {name: _quality(bundle, images, cache) for name, (bundle, images) in sets.items()}
    if part == "auto":
        return {name: _auto(bundle, images) for name, (bundle, images) in sets.items()}
    examples = {GREY: _examples(sets["bsd68"][1]), COLOUR: _examples(sets["photographs"][1])}
    if part == "speed":
        rounds = 1 if quick else 5
        return {bundle.name: measure_speed(bundle, examples[name], rounds) for name, bundle in _named(grey, colour)}
    if part == "large":
        millions = (0.25, 0.5) if quick else (1, 4, 12)
        return {
            bundle.name: measure_large(bundle, examples[name][0], millions, 1 if quick else 3)
            for name, bundle in _named(grey, colour)
        }
    return {bundle.name: measure_memory(bundle, 1 if quick else 12) for _, bundle in _named(grey, colour)}


def _named(grey: Bundle, colour: Bundle) -> tuple[tuple[str, Bundle], tuple[str, Bundle]]:
    return (GREY, grey), (COLOUR, colour)


def _sets(grey: Bundle, colour: Bundle, folder: Path, limit: int | None) -> dict[str, tuple[Bundle, CleanImages]]:
    """What is measured, and by which bundle."""
    _write_photographs(folder)
    return {
        "bsd68": (grey, CleanImages(DATA / "bsd68", "L", limit)),
        "set12": (grey, CleanImages(DATA / "set12", "L", limit)),
        "photographs": (colour, CleanImages(folder, "RGB", limit)),
    }


def _write_photographs(folder: Path) -> None:
    """The held-out photographs, upright, shrunk, as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((DATA / "photos").glob(HELD_OUT)):
        image = ImageOps.exif_transpose(Image.open(path).convert("RGB"))
        size = (image.width // SHRINK, image.height // SHRINK)
        image.resize(size, Image.Resampling.LANCZOS).save(folder / f"{path.stem}.png")


def _examples(images: CleanImages) -> list[np.ndarray]:
    """The first three images, for speed."""
    return [clean for (_, clean), _ in zip(images.read(), range(3), strict=False)]


def _quality(bundle: Bundle, images: CleanImages, cache: Cache) -> dict[str, Any]:
    ours = list(_ours(bundle))
    # One thread: BM3D's sums depend on how many there are, in digits that do not show.
    classical, _ = find_classical(["bm3d", "nlm"], 1)
    rows: list[Row] = []
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


def _ours(bundle: Bundle) -> Iterator[BundleMethod]:
    codec = load(bundle, format="onnx")
    yield BundleMethod(codec, "sigma", name=OURS)
    yield BundleMethod(codec, "auto", name=AUTO)
    if any(graph.format == "onnx-int8" for graph in bundle.manifest.graphs):
        yield BundleMethod(load(bundle, format="onnx-int8"), "sigma", name=INT8)


def _auto(bundle: Bundle, images: CleanImages) -> dict[str, Any]:
    assert bundle.manifest.noise is not None
    sums = AutoSums(FullSize(load(bundle, format="onnx")), bundle.manifest.noise.maximum, SEED)
    for _, clean in images.read():
        sums.add(clean)
    return asdict(sums.figures())


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
    before = _read(kept / "figures.json")
    about = {bundle.name: _about(bundle) for bundle in bundles}
    weights = {name: one["weights_sha256"] for name, one in about.items()}
    if {name: one["weights_sha256"] for name, one in before.get("bundles", {}).items()} != weights:
        before = {}
    names = ("aedeploy", "onnxruntime", "numpy", "pillow", "bm3d", "bm4d", "opencv-python-headless", "scipy")
    found = {
        "bundles": about,
        "machine": {"cores": available_cores(), "processor": _processor()},
        "packages": {name: version(name) for name in names},
    }
    write_json(kept / "figures.json", before | measured_now | found)


def _about(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    return {
        "weights_sha256": manifest.weights.sha256,
        "bundle_bytes": sum(path.stat().st_size for path in bundle.path.rglob("*") if path.is_file()),
        "graphs": {graph.file.path: graph.file.bytes for graph in manifest.graphs},
        "created": manifest.provenance.created,
        "epochs": manifest.metrics.get("epochs"),
    }


def _processor() -> str:
    """As Linux names it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return found


if __name__ == "__main__":
    main()
