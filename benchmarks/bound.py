"""How near a job comes to the least time that its images can take.

Of every kind of images, the cost of one is measured stage by stage, each alone, in as many processes at once as there
are cores: read, decode, resize, infer, encode. Their sum, divided by the cores, is the least possible time of an
image; the job's time an image, from the plan to the summary in a process that has imported what it needs, is held
against it. Rounds of both are interleaved. The job writes into memory (/dev/shm) where there is such a place: what a
disk takes for a hundred thousand small files is no stage of ours. ``--disk`` writes to a disk all the same.

    python benchmarks/bound.py                  100,000 digits of 28×28, JPEGs of 481×321, photographs
    python benchmarks/bound.py --quick          a few of each, to see that it runs
    python benchmarks/bound.py --only "481×321 JPEG"
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from folder_to_latents import PHOTOS, train, write_digits, write_jpegs
from measure import Target, at_least, report

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.images.geometry import restored
from aedeploy.images.pixels import to_bytes
from aedeploy.images.quiet import quiet_pillow
from aedeploy.images.read import read_picture
from aedeploy.images.write import image_bytes
from aedeploy.jobs.engines.local import run as _imported  # noqa: F401  # the job's own imports are not timed
from aedeploy.jobs.latents import LatentsContract, parquet
from aedeploy.jobs.plan import plan_job
from aedeploy.jobs.reading import digest_of
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.run import run_job
from aedeploy.jobs.sources import Selection, find_origin, list_inputs, open_contents
from aedeploy.runtime.codec import Codec, auto_batch_size, image_geometry
from aedeploy.runtime.cores import available_cores

LEAST = {"28×28 PNG": 0.75, "481×321 JPEG": 0.93, "photographs": 0.93}
STAGES = ("read", "decode", "resize", "infer", "encode")
_MEMORY = Path("/dev/shm")
#: Seconds that a stage is measured for at least, in every process.
_LONG_ENOUGH = 1.0


def main() -> None:
    """Make the folders and the bundles, untimed; then rounds of stages and jobs."""
    if sys.argv[1:2] == ["--stages"]:
        print(json.dumps(stages(**json.loads(sys.argv[2]))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="Rounds of stages and job.")
    parser.add_argument("--quick", action="store_true", help="Few images and one round: to see that it runs.")
    parser.add_argument("--disk", action="store_true", help="Outputs beside the inputs, wherever that is.")
    parser.add_argument("--job", choices=["encode", "denoise"], help="One job.")
    parser.add_argument("--only", choices=list(LEAST), help="One kind of images.")
    arguments = parser.parse_args()
    rounds = 1 if arguments.quick else arguments.rounds
    memory = None if arguments.disk or not _MEMORY.is_dir() else _MEMORY
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory(dir=memory) as out:
        work = Path(name)
        seconds: dict[str, list[float]] = {}
        targets: list[Target] = []
        costs: dict[str, Any] = {}
        for what, folder, bundles in contestants(work, quick=arguments.quick, only=arguments.only):
            for job, bundle in bundles.items():
                if arguments.job not in (None, job):
                    continue
                figures = [one_round(job, folder, bundle, Path(out, "out")) for _ in range(rounds)]
                title = f"{what}, {job}"
                seconds[title] = [figure["job"] for figure in figures]
                shares = [figure["least"] / figure["job"] for figure in figures]
                targets.append(at_least(f"{title}: share of the bound", statistics.median(shares), LEAST[what]))
                costs[title] = {
                    stage: round(1e6 * statistics.median(figure["stages"][stage] for figure in figures), 1)
                    for stage in STAGES
                }
                costs[title]["images_per_second"] = round(statistics.median(f["rate"] for f in figures))
                print(f"{title}: {statistics.median(shares):.3f} {costs[title]}", file=sys.stderr)
    report("bound", seconds, targets, microseconds_an_image=costs)


def contestants(work: Path, *, quick: bool, only: str | None) -> Iterable[tuple[str, Path, dict[str, Bundle]]]:
    """What, the folder, and a bundle for each job."""
    if only in (None, "28×28 PNG"):
        folder = write_digits(work / "png", 2_000 if quick else 100_000)
        encoder = train(work / "digits", ["--variant", "mlp-32"])
        yield "28×28 PNG", folder, {"encode": encoder, "denoise": train(work / "noise", ["--variant", "denoising"])}
        shutil.rmtree(folder)
    if only == "28×28 PNG":
        return
    jpegs = write_jpegs(work / "jpeg", 60 if quick else 2_000)
    options = ["--data", str(jpegs), "--image-size", "128"]
    bundles = {
        "encode": train(work / "colour", options),
        "denoise": train(work / "colour-noise", ["--variant", "denoising", *options]),
    }
    if only in (None, "481×321 JPEG"):
        yield "481×321 JPEG", jpegs, bundles
    if only in (None, "photographs") and PHOTOS.is_dir():
        yield "photographs", PHOTOS, bundles


def one_round(job: str, folder: Path, bundle: Bundle, out: Path) -> dict[str, Any]:
    """The stages, then the job."""
    cores = available_cores()
    settings = json.dumps({"job": job, "folder": str(folder), "bundle": str(bundle.path)})
    processes = [
        subprocess.Popen([sys.executable, __file__, "--stages", settings], stdout=subprocess.PIPE, text=True)
        for _ in range(cores)
    ]
    measured = []
    for process in processes:
        told, _ = process.communicate()
        if process.returncode:
            sys.exit("the stages cannot be measured")
        measured.append(json.loads(told))
    stages_of = {stage: statistics.mean(one[stage] for one in measured) for stage in STAGES}
    shutil.rmtree(out, ignore_errors=True)
    # Photographs through a model of 128 px: the work of its convolutions at 12 megapixels would hide all the rest.
    size: dict[str, Any] = {} if job == "encode" else {"size": "original", "resize": "fit"}
    began = time.perf_counter()
    request = JobRequest(job=job, bundle=bundle, source=folder, output=out, **size)  # type: ignore[arg-type]
    *_, summary = run_job(plan_job(request))
    took = time.perf_counter() - began
    if summary.failed:  # type: ignore[union-attr]
        sys.exit(f"{summary}")
    images = summary.ok  # type: ignore[union-attr]
    return {"job": took, "least": sum(stages_of.values()) * images / cores, "stages": stages_of, "rate": images / took}


def stages(job: str, folder: str, bundle: str) -> dict[str, float]:
    """Seconds an image of every stage, alone, on one thread."""
    opened = open_bundle(bundle)
    resize = "exact" if job == "encode" else "fit"
    geometry = image_geometry(opened, resize)
    codec = Codec(opened, threads=1)
    role = "encoder" if job == "encode" else "autoencoder"
    codec.open(role)
    origin = find_origin(folder)
    contents = open_contents(origin)
    sources = [source for group in list_inputs(origin, Selection()) for source in group.sources]
    sources = sources[:: max(1, len(sources) // 2000)]
    # Every process begins elsewhere, so that they do not all read the same.
    start = os.getpid() % len(sources)
    sources = sources[start:] + sources[:start]
    batch = auto_batch_size(geometry)
    spent = dict.fromkeys(STAGES, 0.0)
    with quiet_pillow():
        # The first batch pays for imports.
        one_batch(job, sources[:batch], contents, geometry, codec, role, dict.fromkeys(STAGES, 0.0))
        images, began = 0, time.perf_counter()
        while time.perf_counter() - began < 3 * _LONG_ENOUGH or images < batch:
            some = [sources[(images + number) % len(sources)] for number in range(batch)]
            one_batch(job, some, contents, geometry, codec, role, spent)
            images += len(some)
    return {stage: total / images for stage, total in spent.items()}


def one_batch(
    job: str, sources: Any, contents: Any, geometry: Any, codec: Codec, role: Any, spent: dict[str, float]
) -> None:
    """One batch, stage by stage, as a job does it."""
    clock = time.perf_counter
    times = [clock()]
    data = []
    for source in sources:
        data.append(contents.read(source))
        digest_of(data[-1])
    times.append(clock())
    pictures = [
        read_picture(one, geometry.mode, name=source.path, alpha=job != "encode")
        for one, source in zip(data, sources, strict=True)
    ]
    times.append(clock())
    placed = [geometry.place(picture) for picture in pictures]
    pixels = np.stack([one for one, _ in placed])
    times.append(clock())
    outputs = codec.run(role, pixels)
    times.append(clock())
    if job == "encode":
        contract = LatentsContract(
            bundle="b",
            bundle_digest="d",
            graph_format="onnx",
            shapes={name: list(array.shape[1:]) for name, array in outputs.items()},
        )
        for content in parquet.contents(contract, [source.path for source in sources], outputs):
            io.BytesIO().write(content)
    else:
        from aedeploy.images.write import ImageOptions

        (image,) = outputs.values()
        for values, (_, placement) in zip(to_bytes(image), placed, strict=True):
            image_bytes(restored(values, placement), ImageOptions())
    times.append(clock())
    for stage, earlier, later in zip(STAGES, times[:-1], times[1:], strict=True):
        spent[stage] += later - earlier


if __name__ == "__main__":
    main()
