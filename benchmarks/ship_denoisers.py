"""The denoisers that come with the package, from what their training left.

    python benchmarks/ship_denoisers.py             artifacts/results/denoiser-* → artifacts/denoiser-*
    python benchmarks/ship_denoisers.py --cards     their cards again, when benchmarks/denoise.py has new figures

Each is exported as ONNX, and as int8 too where that costs no more than 0.1 dB at any σ of photographs that nothing was
trained on, and the whole is no larger than 2 MB. What was there before stays until the new one is complete.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from photographs import held_out, shrunk
from PIL import Image
from ship_card import kept_section

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.card import write_card
from aedeploy.bundle.golden import BATCHES, load_golden, load_samples, save_golden
from aedeploy.bundle.shipped import shipped_names
from aedeploy.bundle.store import CHECKPOINT_FILE, GOLDEN_FILE, HISTORY_FILE, PARITY_FILE, record_file
from aedeploy.errors import AedeployError
from aedeploy.evaluation.denoising.protocol import DEFAULT_SIGMAS, noisy_image, psnr, rounded
from aedeploy.export import export_bundle
from aedeploy.files import write_json
from aedeploy.parity.verify import verify_bundle
from aedeploy.runtime.codec import load
from aedeploy.runtime.full_size import FullSize

ROOT = Path(__file__).resolve().parents[1]
ARTIFACTS = ROOT / "artifacts"
FIGURES = ARTIFACTS / "denoising"

#: Bytes of a bundle, all files together.
MOST_BYTES = 2_000_000

#: dB that int8 may cost.
MOST_COST = 0.1

#: Pixels of a photograph's middle, a side, that this is measured on.
MIDDLE = 256

#: What benchmarks/denoise.py measured; and, from here, what int8 costs, and whether it is shipped.
FIGURES_FILE, INT8_FILE = "figures.json", "int8.json"


@dataclass(frozen=True, kw_only=True)
class Int8:
    """What int8 costs, in dB by σ, None where it could not be had; and why it is not shipped, None where it is."""

    weights_sha256: str
    cost: dict[str, float] | None
    why_not: str | None


def main() -> None:
    """Ship what was asked for, and say what became of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ARTIFACTS / "results", help="Where training left them.")
    parser.add_argument("--out", type=Path, default=ARTIFACTS, help="Where they go.")
    parser.add_argument("--photos", type=Path, default=ROOT.parent / "shared" / "data" / "photos")
    parser.add_argument("--figures", type=Path, default=FIGURES, help="Where benchmarks/denoise.py keeps its own.")
    parser.add_argument("--cards", action="store_true", help="Write the cards and nothing else.")
    parser.add_argument("names", nargs="*", default=shipped_names())
    asked = parser.parse_args()
    sizes = {}
    for name in asked.names:
        if not asked.cards:
            ship(asked.results / name, asked.out / name, held_out_photographs(asked.photos), asked.figures)
        bundle = open_bundle(asked.out / name)
        write_card(bundle, kept_section(bundle.manifest, read_figures(asked.figures)))
        check_size(bundle)
        sizes[name] = size_of(bundle)
        print(f"{name}: {sizes[name]:,} bytes", file=sys.stderr, flush=True)
    int8 = read_figures(asked.figures)["int8"]
    print(json.dumps({"bytes": sizes, "int8": {name: int8.get(name) for name in sizes}}))


def read_figures(folder: Path) -> dict[str, Any]:
    """What benchmarks/denoise.py and this have measured so far."""
    figures, int8 = (
        json.loads(path.read_text()) if path.is_file() else {} for path in (folder / FIGURES_FILE, folder / INT8_FILE)
    )
    return {**figures, "int8": int8}


def ship(trained: Path, target: Path, photographs: list[Image.Image], figures: Path) -> None:
    """Export what was trained, and put it in the place of what is shipped now."""
    with tempfile.TemporaryDirectory(prefix=".ship-", dir=target.parent) as folder:
        plain = stripped(open_bundle(trained), Path(folder) / target.name)
        plain = export_bundle(plain, ["onnx"]).bundle
        both, int8 = with_int8(plain, Path(folder) / "int8" / target.name, photographs)
        chosen = both or plain
        figures.mkdir(parents=True, exist_ok=True)
        write_json(figures / INT8_FILE, read_figures(figures)["int8"] | {target.name: asdict(int8)})
        check_size(chosen)
        if not verify_bundle(chosen):
            raise SystemExit(f"{target.name} does not verify: {'; '.join(verify_bundle(chosen).failures())}")
        if target.exists():
            target.rename(Path(folder) / "before")
        chosen.path.rename(target)


def stripped(bundle: Bundle, folder: Path) -> Bundle:
    """A copy without graphs, and without what only its training needs."""
    left_out = shutil.ignore_patterns(CHECKPOINT_FILE, "graphs", PARITY_FILE, ".*")
    shutil.copytree(bundle.path, folder, ignore=left_out)
    # Under the name that it goes by: training may have gone into a folder of another.
    renamed = bundle.manifest.model_copy(update={"name": folder.name, "graphs": ()})
    return Bundle(folder, bundle.manifest).save(renamed)


def with_int8(plain: Bundle, folder: Path, photographs: list[Image.Image]) -> tuple[Bundle | None, Int8]:
    """A copy that has int8 as well, where that is worth it; and what was found."""
    weights = plain.manifest.weights.sha256
    shutil.copytree(plain.path, folder)
    try:
        both = export_bundle(open_bundle(folder), ["onnx-int8"]).bundle
    except AedeployError as error:
        return None, Int8(weights_sha256=weights, cost=None, why_not=str(error))
    cost = int8_cost(both, photographs)
    if size_of(both) > MOST_BYTES:
        both = slimmed(both)
    why_not = None
    if max(cost.values()) > MOST_COST:
        why_not = f"more than {MOST_COST} dB"
    elif size_of(both) > MOST_BYTES:
        why_not = f"with it the bundle would have {size_of(both):,} bytes, and {MOST_BYTES:,} at most are shipped"
    return None if why_not else both, Int8(weights_sha256=weights, cost=cost, why_not=why_not)


def slimmed(bundle: Bundle) -> Bundle:
    """The bundle with no more than it needs: few sample images, no history, a report without blanks."""
    golden = bundle.path / GOLDEN_FILE
    samples = load_samples(golden)[: max(BATCHES)]
    save_golden(golden, load_golden(golden), samples)
    (bundle.path / HISTORY_FILE).unlink(missing_ok=True)
    report = bundle.path / PARITY_FILE
    report.write_text(json.dumps(json.loads(report.read_text()), separators=(",", ":")) + "\n")
    return bundle.save(bundle.manifest.model_copy(update={"golden": record_file(bundle.path, GOLDEN_FILE)}))


def int8_cost(bundle: Bundle, photographs: list[Image.Image]) -> dict[str, float]:
    """By σ, how many dB int8 is below float, in the mean over photographs; told σ, rounded to 8 bits."""
    floats, int8 = (FullSize(load(bundle, format=format)) for format in ("onnx", "onnx-int8"))
    mode = bundle.manifest.image.mode
    cost = {}
    for sigma in DEFAULT_SIGMAS:
        lost = []
        for photograph in photographs:
            clean = np.asarray(photograph.convert(mode)).reshape(photograph.height, photograph.width, -1)
            noisy = noisy_image(clean, sigma, seed=0)
            made = (rounded(full.reconstruct(noisy, sigma=sigma)) for full in (floats, int8))
            lost.append(np.subtract(*(psnr(clean, output) for output in made)))
        cost[f"{sigma:g}"] = float(np.mean(lost))
    return cost


def held_out_photographs(folder: Path) -> list[Image.Image]:
    """The middles of those that nothing was trained on."""
    found = []
    for path in held_out(folder):
        image = shrunk(path, "RGB")
        left, top = (max(0, (length - MIDDLE) // 2) for length in image.size)
        found.append(image.crop((left, top, min(image.width, left + MIDDLE), min(image.height, top + MIDDLE))))
    return found


def size_of(bundle: Bundle) -> int:
    """Bytes of all of its files."""
    return sum(path.stat().st_size for path in bundle.path.rglob("*") if path.is_file())


def check_size(bundle: Bundle) -> None:
    """End where a bundle is too large to be shipped."""
    if size_of(bundle) > MOST_BYTES:
        sizes = ", ".join(f"{path.name} {path.stat().st_size:,}" for path in bundle.path.rglob("*") if path.is_file())
        raise SystemExit(
            f"{bundle.name} has {size_of(bundle):,} bytes, and {MOST_BYTES:,} at most are shipped: {sizes}."
        )


if __name__ == "__main__":
    main()
