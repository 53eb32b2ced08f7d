"""What reading and writing an image costs, and what a scaled decode changes: the figures of docs/pixels.md.

Small PNGs beside Pillow's own way, in memory, one thread: read to an array, and written from one. Photographs at the
model's size, decoded in full and at a reduced scale, with the difference that this makes to the pixels.

    python benchmarks/images.py --rounds 15
"""

from __future__ import annotations

import argparse
import io
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import at_least, interleave, ratio, report
from PIL import Image

from aedeploy.data.digits import digits
from aedeploy.images.geometry import Geometry
from aedeploy.images.read import quiet_pillow, read_picture
from aedeploy.images.write import png_of

PHOTOS = Path(__file__).resolve().parents[2] / "shared" / "data" / "photos"

#: Bytes. What is smaller has no detail to lose.
PHOTOGRAPH = 200_000


def main() -> None:
    """Time both, and measure the difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="Timed rounds of each contender.")
    parser.add_argument("--images", type=int, default=2000, help="Small images a round.")
    arguments = parser.parse_args()
    seconds, targets, files = {}, [], {}
    with quiet_pillow():
        for what, channels in (("grey", 1), ("RGB", 3)):
            images = [np.repeat(image, channels, axis=2) for image in digits().train[: arguments.images]]
            timed, files[what] = small(what, images, arguments.rounds)
            seconds |= timed
            for did in ("read", "written"):
                gain = ratio(timed, f"{what} {did}, Pillow", f"{what} {did}")
                targets.append(at_least(f"28×28 {what} PNG {did}, against Pillow", gain, 1.5))
        photographs = [path.read_bytes() for path in sorted(PHOTOS.rglob("*.jpg"))] if PHOTOS.is_dir() else []
        photographs = [data for data in photographs if len(data) > PHOTOGRAPH]
        drifts = {side: drift(photographs, side) for side in (64, 128, 256)} if photographs else {}
        if photographs:
            timed = scaled(photographs, min(arguments.rounds, 5))
            seconds |= timed
            targets.append(at_least("photographs to 128 px, scaled against full", ratio(timed, "full", "scaled"), 2))
    report("images", seconds, targets, bytes_a_file=files, drift=drifts, photographs=len(photographs))


def small(what: str, images: list[np.ndarray], rounds: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of reading and writing PNGs of uint8 [28, 28, C], and bytes a file of both ways."""
    mode = "L" if images[0].shape[2] == 1 else "RGB"
    geometry = Geometry(mode=mode, height=28, width=28)
    contents = [by_pillow(image) for image in images]

    def all_of(function: Callable[[Any], object], items: list[Any]) -> Callable[[], object]:
        return lambda: [function(item) for item in items]

    seconds = interleave(
        {
            f"{what} read, Pillow": all_of(
                lambda data: np.asarray(Image.open(io.BytesIO(data), formats=["PNG"])), contents
            ),
            f"{what} read": all_of(lambda data: geometry.place(read_picture(data, mode)), contents),
            f"{what} written, Pillow": all_of(by_pillow, images),
            f"{what} written": all_of(png_of, images),
        },
        rounds=rounds,
    )
    return seconds, {
        "Pillow": statistics.fmean(map(len, contents)),
        "ours": statistics.fmean(len(png_of(image)) for image in images),
    }


def by_pillow(pixels: np.ndarray) -> bytes:
    """uint8 [H, W, C] as PNG, at the level that we use."""
    stream = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def scaled(photographs: list[bytes], rounds: int) -> dict[str, list[float]]:
    """Seconds of decoding photographs to 128 px, in full and scaled."""
    return interleave(
        {
            "full": lambda: [placed(data, 128, None) for data in photographs],
            "scaled": lambda: [placed(data, 128, (128, 128)) for data in photographs],
        },
        rounds=rounds,
    )


def drift(photographs: list[bytes], side: int) -> dict[str, float]:
    """What a scaled decode changes in the pixels, 0 to 255, of photographs squeezed to ``side``."""
    means, ninety_nines, largest, ratios = [], [], [], []
    for data in photographs:
        difference = np.abs(placed(data, side, None).astype(int) - placed(data, side, (side, side)))
        means.append(float(difference.mean()))
        ninety_nines.append(float(np.percentile(difference, 99)))
        largest.append(int(difference.max()))
        ratios.append(10 * np.log10(255**2 / max(float(np.square(difference).mean()), 1e-3)))
    return {
        "mean": round(statistics.fmean(means), 2),
        "mean, worst photograph": round(max(means), 2),
        "99th percentile": round(statistics.fmean(ninety_nines), 1),
        "largest, median photograph": statistics.median(largest),
        "largest, worst photograph": max(largest),
        "PSNR, median": round(statistics.median(ratios), 1),
        "PSNR, worst photograph": round(min(ratios), 1),
    }


def placed(data: bytes, side: int, scaled_to: tuple[int, int] | None) -> np.ndarray:
    """A JPEG as uint8 [side, side, 3]."""
    picture = read_picture(data, "RGB", scaled_to=scaled_to, name="a.jpg")
    return Geometry(mode="RGB", height=side, width=side).place(picture)[0]


if __name__ == "__main__":
    main()
