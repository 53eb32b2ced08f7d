"""Graphs that take and give bytes beside graphs of floats, as the batch jobs call them: which should a job take?

One call is what a job does with a batch of decoded images: uint8 [N, H, W, C] in; latents, or uint8 images, out. With
float graphs NumPy converts on the way in and out; uint8 graphs do it themselves. One thread, batches as jobs choose
them. The figures are why jobs take float graphs where a bundle has both (``choose_engine`` in runtime/open.py): bytes
gain nothing on small images and little on large ones, and of a byte nobody can see any more that it was NaN.

    python benchmarks/pixels.py --rounds 15
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
from folder_to_latents import train, write_jpegs
from measure import Target, at_least, interleave, ratio, report

from aedeploy.bundle import Bundle
from aedeploy.bundle.manifest import ROLES, Pixels, Role
from aedeploy.export import export_bundle
from aedeploy.runtime.codec import Codec, auto_batch_size, pixels_of

#: Images a round: enough that a call's own overhead is measured too, as a job pays it.
IMAGES = 1024


def main() -> None:
    """Train and export two models of each size, untimed; time every graph of both kinds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="Timed rounds of each contender.")
    parser.add_argument("--quick", action="store_true", help="Few images and one round: to see that it runs.")
    arguments = parser.parse_args()
    seconds: dict[str, list[float]] = {}
    targets: list[Target] = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        jpegs = write_jpegs(work / "jpeg", 60)
        options = {
            "mlp-32 28×28": ["--variant", "mlp-32"],
            "ae 28×28": ["--variant", "ae"],
            "ae 128×128 RGB": ["--data", str(jpegs), "--image-size", "128"],
        }
        for what, given in options.items():
            bundle = train(work / what.replace(" ", "-"), given)
            bundle = export_bundle(bundle, ["onnx"], pixels="uint8").bundle
            for role in ROLES:
                timed, target = contest(what, bundle, role, 1 if arguments.quick else arguments.rounds)
                seconds |= timed
                targets.append(target)
    report("pixels", seconds, targets)


def contest(what: str, bundle: Bundle, role: Role, rounds: int) -> tuple[dict[str, list[float]], Target]:
    """Both kinds of one graph: their seconds, and how many times as fast bytes are."""
    image = bundle.manifest.image
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, image.height, image.width, image.channels), np.uint8)
    codecs = {kind: Codec(bundle, format="onnx", pixels=kind, threads=1) for kind in get_args(Pixels)}
    size = auto_batch_size(codecs["uint8"].geometry)
    given = codecs["float32"].run("encoder", pixels)["latent"] if role == "decoder" else pixels

    def all_of(codec: Codec) -> Callable[[], None]:
        def run() -> None:
            for start in range(0, len(given), size):
                outputs = codec.run(role, given[start : start + size])
                if role != "encoder":
                    pixels_of(next(iter(outputs.values())))

        return run

    contenders = {f"{what}, {role}, {kind}": all_of(codec) for kind, codec in codecs.items()}
    seconds = interleave(contenders, rounds=rounds)
    floats, bytes_ = contenders
    return seconds, at_least(f"{what}, {role}: times as fast with bytes", ratio(seconds, floats, bytes_), 1.0)


if __name__ == "__main__":
    main()
