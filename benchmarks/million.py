"""A job over very many inputs: what its plan, its ledger and its resume cost, apart from the work itself.

Two trees of 28×28 PNGs, all of them hard links to a hundred: one of 1,000 folders, one of a single folder. Links
share their times and their content, which makes the ledger smaller than it would be, so its bytes an input are those of
20,000 files of their own. Each figure is of a process of its own, measured once, without the start of Python and its
imports. With a million inputs it takes some minutes, and two million names in the temporary folder.

    python benchmarks/million.py --inputs 1000000
    python benchmarks/million.py                    100,000 inputs
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from measure import Target, at_most, process, report
from PIL import Image

import aedeploy.data
from aedeploy.bundle import open_bundle
from aedeploy.jobs.engines import Progress
from aedeploy.jobs.ledger import LEDGER_FILE
from aedeploy.jobs.plan import Plan, plan_job
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.run import Summary, run_job
from aedeploy.jobs.status import job_status

COMMAND = Path(sys.executable).with_name("aedeploy")
DISTINCT = 20_000
IMAGES = 100  # a file has 65,000 names at most on ext4
FOLDERS = 1000

Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--bundle", type=Path, help="Of 28×28 grey images. Default: one is trained for a moment.")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)  # one figure, in a process of its own
    arguments = parser.parse_args()
    if arguments.measure:
        what, source, out, bundle = arguments.measure
        print(json.dumps(MEASURES[what](Path(source), Path(out), Path(bundle))))
        return
    figures: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="million-") as temporary:
        work = Path(temporary)
        bundle = arguments.bundle.resolve() if arguments.bundle else train(work / "bundle")
        source, out = work / "in-distinct", work / "out-distinct"
        write_distinct(source, min(arguments.inputs, DISTINCT))
        figures["files of their own, run"] = apart("run", source, out, bundle)
        for name, folders in (("1,000 folders", FOLDERS), ("one folder", 1)):
            source, out = work / f"in-{folders}", work / f"out-{folders}"
            write_tree(source, arguments.inputs, folders)
            for what in MEASURES:
                print(f"{name}: {what}", file=sys.stderr)
                figures[f"{name}, {what}"] = apart(what, source, out, bundle)
    seconds = {name: [found["seconds"]] for name, found in figures.items()}
    report("million", seconds, list(targets(figures)), inputs=arguments.inputs, figures=figures)


def targets(figures: dict[str, Figures]) -> list[Target]:
    return [
        at_most(f"{name}: seconds to the first new images", found["first"], 10)
        for name, found in figures.items()
        if name.endswith(("run", "resume"))
    ]


def apart(what: str, source: Path, out: Path, bundle: Path) -> Figures:
    words = [sys.executable, __file__, "--measure", what, *map(str, (source, out, bundle))]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{what} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    found: Figures = json.loads(done.stdout)
    return found


def plan_only(job: str) -> Callable[[Path, Path, Path], Figures]:
    """All inputs listed, looked at, and cut into shards; nothing is written."""

    def measure(source: Path, out: Path, bundle: Path) -> Figures:
        began = time.perf_counter()
        shards = planned(source, out / "never", bundle, job).cutter.shards()
        next(shards)
        first = time.perf_counter() - began
        count = 1 + sum(1 for _ in shards)
        return figures_since(began, first=first, shards=count)

    return measure


def run(source: Path, out: Path, bundle: Path) -> Figures:
    """The whole job, or what is left of it."""
    began = time.perf_counter()
    first = 0.0
    for event in run_job(planned(source, out, bundle)):
        if isinstance(event, Progress):
            first = first or time.perf_counter() - began
    assert isinstance(event, Summary)
    assert event.complete, event.failures
    ledger = (out / LEDGER_FILE).stat().st_size
    inputs = event.ok + event.skipped
    return figures_since(
        began, first=first, ok=event.ok, skipped=event.skipped, ledger=ledger, ledger_an_input=ledger / inputs
    )


def resume(source: Path, out: Path, bundle: Path) -> Figures:
    """What is left after a job that was killed half way: the second half of the ledger and its files are taken away."""
    lines = (out / LEDGER_FILE).read_bytes().splitlines(keepends=True)
    half = len(lines) // 2
    for line in lines[half:]:
        for output in json.loads(line).get("outputs", ()):
            (out / output["file"]).unlink()
    (out / LEDGER_FILE).write_bytes(b"".join(lines[:half]))
    return run(source, out, bundle)


def status(source: Path, out: Path, bundle: Path) -> Figures:
    began = time.perf_counter()
    found = job_status(out)
    return figures_since(began, ok=found.ok)


MEASURES: dict[str, Callable[[Path, Path, Path], Figures]] = {
    "plan of encode": plan_only("encode"),
    "plan of reconstruct": plan_only("reconstruct"),
    "run": run,
    "nothing to do": run,
    "status": status,
    "resume": resume,
}


def planned(source: Path, out: Path, bundle: Path, job: Any = "encode") -> Plan:
    return plan_job(JobRequest(job=job, bundle=open_bundle(bundle), source=source, output=out))


def figures_since(began: float, **more: float) -> Figures:
    seconds = time.perf_counter() - began
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    found = {"seconds": seconds, **more, "peak_mb": peak_mb(), "largest_child_mb": children}
    return {name: round(value, 2) for name, value in found.items()}


def peak_mb() -> float:
    """Of this process alone: what getrusage says begins with that of the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def write_tree(folder: Path, inputs: int, folders: int) -> None:
    """That many names of the embedded digits, spread over so many folders."""
    images = folder.with_name("images")
    if not images.exists():
        images.mkdir()
        for number, digit in enumerate(islice(digits(), IMAGES)):
            Image.fromarray(digit).save(images / f"{number}.png")
    for number in range(folders):
        (folder / f"{number:04d}" if folders > 1 else folder).mkdir(parents=True)
    for number in range(inputs):
        place = folder / f"{number * folders // inputs:04d}" if folders > 1 else folder
        os.link(images / f"{number % IMAGES}.png", place / f"{number:07d}.png")


def write_distinct(folder: Path, inputs: int) -> None:
    """That many images, each of its own."""
    folder.mkdir()
    for number, digit in enumerate(islice(digits(), inputs)):
        image = digit.copy()
        image[0, :4] = np.frombuffer(number.to_bytes(4), np.uint8)
        Image.fromarray(image).save(folder / f"{number:07d}.png")


def train(out: Path) -> Path:
    """A bundle with ONNX graphs, trained just enough to be one."""
    words = ["train", "--variant", "mlp-32", "--epochs", "1", "--out", out, "--quiet"]
    process([COMMAND, *words])()
    process([COMMAND, "export", out, "--format", "onnx", "--quiet"])()
    return out


def digits() -> cycle[np.ndarray]:
    """The embedded digits, uint8 [28, 28], over and over."""
    packed = Path(aedeploy.data.__file__).with_name("t10k-images-idx3-ubyte.gz")
    return cycle(np.frombuffer(gzip.decompress(packed.read_bytes()), np.uint8, offset=16).reshape(-1, 28, 28))


if __name__ == "__main__":
    main()
