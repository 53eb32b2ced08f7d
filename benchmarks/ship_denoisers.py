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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from ship_card import kept_section

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.card import write_card
from aedeploy.bundle.golden import BATCHES, load_golden, load_samples, save_golden
from aedeploy.bundle.shipped import shipped_names
from aedeploy.bundle.store import CHECKPOINT_FILE, GOLDEN_FILE, HISTORY_FILE, PARITY_FILE, record_file
from aedeploy.errors import AedeployError
from aedeploy.export import export_bundle
from aedeploy.parity.verify import verify_bundle
from aedeploy.runtime.codec import load
from aedeploy.runtime.full_size import FullSize

ROOT = Path(__file__).resolve().parents[1]
ARTIFACTS = ROOT / "artifacts"
FIGURES = ARTIFACTS / "denoising" / "figures.json"

#: Bytes of a bundle, all files together.
MOST_BYTES = 2_000_000

#: dB that int8 may cost.
MOST_COST = 0.1
SIGMAS = (15.0, 25.0, 50.0)

#: Of the photographs, those that nothing was trained on; shrunk by this, and of each its middle.
HELD_OUT, SHRINK, MIDDLE = "exif-samples/exif-org__*.jpg", 2, 256


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """What became of one of them."""

    bundle: Bundle
    int8_cost: dict[str, float] | None  # dB by σ; None: it could not be had
    note: str

    def as_dict(self) -> dict[str, Any]:
        """For a program."""
        return {"bundle": str(self.bundle.path), "bytes": size_of(self.bundle), "int8_cost": self.int8_cost} | {
            "note": self.note
        }


def main() -> None:
    """Ship what was asked for, and say what became of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ARTIFACTS / "results", help="Where training left them.")
    parser.add_argument("--out", type=Path, default=ARTIFACTS, help="Where they go.")
    parser.add_argument("--photos", type=Path, default=ROOT.parent / "shared" / "data" / "photos")
    parser.add_argument("--figures", type=Path, default=FIGURES, help="What benchmarks/denoise.py measured.")
    parser.add_argument("--cards", action="store_true", help="Write the cards and nothing else.")
    parser.add_argument("names", nargs="*", default=shipped_names())
    asked = parser.parse_args()
    figures = json.loads(asked.figures.read_text()) if asked.figures.is_file() else {}
    done = []
    for name in asked.names:
        if asked.cards:
            bundle = open_bundle(asked.out / name)
            write_card(bundle, kept_section(bundle.manifest, figures))
            shipped = Shipped(bundle=bundle, int8_cost=None, note="its card was written")
        else:
            shipped = ship(asked.results / name, asked.out / name, held_out_photographs(asked.photos), figures)
        check_size(shipped.bundle)
        done.append(shipped.as_dict())
        print(f"{name}: {size_of(shipped.bundle):,} bytes; {shipped.note}", file=sys.stderr, flush=True)
    print(json.dumps({"shipped": done}))


def ship(trained: Path, target: Path, photographs: list[Image.Image], figures: dict[str, Any]) -> Shipped:
    """Export what was trained, and put it in the place of what is shipped now."""
    with tempfile.TemporaryDirectory(prefix=".ship-", dir=target.parent) as folder:
        plain = stripped(open_bundle(trained), Path(folder) / target.name)
        plain = export_bundle(plain, ["onnx"]).bundle
        both, cost, note = with_int8(plain, Path(folder) / "int8" / target.name, photographs)
        chosen = both or plain
        write_card(chosen, kept_section(chosen.manifest, figures))
        check_size(chosen)
        if not verify_bundle(chosen):
            raise SystemExit(f"{target.name} does not verify: {'; '.join(verify_bundle(chosen).failures())}")
        if target.exists():
            target.rename(Path(folder) / "before")
        chosen.path.rename(target)
    return Shipped(bundle=open_bundle(target), int8_cost=cost, note=note)


def stripped(bundle: Bundle, folder: Path) -> Bundle:
    """A copy without graphs, and without what only its training needs."""
    left_out = shutil.ignore_patterns(CHECKPOINT_FILE, "graphs", PARITY_FILE, ".*")
    shutil.copytree(bundle.path, folder, ignore=left_out)
    # Under the name that it goes by: training may have gone into a folder of another.
    renamed = bundle.manifest.model_copy(update={"name": folder.name, "graphs": ()})
    return Bundle(folder, bundle.manifest).save(renamed)


def with_int8(
    plain: Bundle, folder: Path, photographs: list[Image.Image]
) -> tuple[Bundle | None, dict[str, float] | None, str]:
    """A copy that has int8 as well, where that is worth it; what it costs in dB by σ; and what to say of it."""
    shutil.copytree(plain.path, folder)
    try:
        both = export_bundle(open_bundle(folder), ["onnx-int8"]).bundle
    except AedeployError as error:
        return None, None, f"no int8: {error}"
    cost = int8_cost(both, photographs)
    said = ", ".join(f"{loss:.3f} dB at {sigma}" for sigma, loss in cost.items())
    if max(cost.values()) > MOST_COST:
        return None, cost, f"no int8: it costs {said}"
    if size_of(both) > MOST_BYTES:
        both = slimmed(both)
    if size_of(both) > MOST_BYTES:
        return None, cost, f"no int8: with it, it has {size_of(both):,} bytes (it costs {said})"
    return both, cost, f"int8 costs {said}"


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
    for sigma in SIGMAS:
        lost = []
        for photograph in photographs:
            clean = np.asarray(photograph.convert(mode)).reshape(photograph.height, photograph.width, -1)
            draws = np.random.default_rng(0).standard_normal(clean.shape)
            noisy = ((clean + sigma * draws) / 255).astype(np.float32)
            lost.append(np.subtract(*(psnr(clean, full.reconstruct(noisy, sigma=sigma)) for full in (floats, int8))))
        cost[f"{sigma:g}"] = float(np.mean(lost))
    return cost


def psnr(clean: np.ndarray, made: np.ndarray) -> float:
    """In dB, of bytes."""
    output = np.rint(made.clip(0, 1) * 255)
    return float(10 * np.log10(255**2 / np.square(clean - output).mean()))


def held_out_photographs(folder: Path) -> list[Image.Image]:
    """The middles of those that nothing was trained on, shrunk."""
    found = []
    for path in sorted(folder.glob(HELD_OUT)):
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        image = image.resize((image.width // SHRINK, image.height // SHRINK), Image.Resampling.LANCZOS)
        left, top = (max(0, (length - MIDDLE) // 2) for length in image.size)
        found.append(image.crop((left, top, min(image.width, left + MIDDLE), min(image.height, top + MIDDLE))))
    if not found:
        raise SystemExit(f"There is no {HELD_OUT} in {folder}, which int8 is measured on: name the folder by --photos.")
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
