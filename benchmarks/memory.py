"""Whether the memory of a job grows with its folder: the peak over 10,000 images and over 100,000.

Every job runs in a process of its own, once with threads and once with worker processes, so that both runs have the
same; the peak is the sum of what each of its processes had at most (VmHWM, so on Linux). The images are hard links to
the embedded digits, in folders of 1,000 (threads) and in one flat folder (worker processes).

    python benchmarks/memory.py
    python benchmarks/memory.py --quick         a tenth of them, to see that it runs
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from folder_to_latents import train, write_digits
from measure import Target, at_most, high_water, report

COMMAND = Path(sys.executable).with_name("aedeploy")
MOST_MB = 30.0


def main() -> None:
    """Both numbers of images, for both jobs, both layouts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="A tenth of the images.")
    arguments = parser.parse_args()
    few = 1_000 if arguments.quick else 10_000
    seconds: dict[str, list[float]] = {}
    targets: list[Target] = []
    peaks: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        digits = write_digits(work / "digits", 1_000)
        bundle = train(work / "bundle", ["--variant", "mlp-32"]).path
        for layout, a_folder, processes in (("folders", 1_000, "never"), ("flat", 10**9, "always")):
            for images in (few, 10 * few):
                links(digits, work / f"{layout}-{images}", images, a_folder)
            for job in ("encode", "reconstruct"):
                for images in (few, 10 * few):
                    title = f"{job}, {layout}, {images:,}"
                    peaks[title], took = peak(job, work / f"{layout}-{images}", bundle, work / "out", processes)
                    seconds[title] = [took]
                    print(f"{title}: {peaks[title]:.0f} MB, {took:.1f} s", file=sys.stderr)
                grown = peaks[f"{job}, {layout}, {10 * few:,}"] - peaks[f"{job}, {layout}, {few:,}"]
                targets.append(at_most(f"{job}, {layout}: MB more for ten times the images", grown, MOST_MB))
    report("memory", seconds, targets, peak_mb={title: round(mb, 1) for title, mb in peaks.items()})


def links(digits: Path, folder: Path, images: int, a_folder: int) -> None:
    """A tree of so many images, so many in each folder."""
    originals = sorted(digits.iterdir())
    for number in range(images):
        place = folder / f"{number // a_folder:04d}"
        if number % a_folder == 0:
            place.mkdir(parents=True)
        os.link(originals[number % len(originals)], place / f"{number:07d}.png")


def peak(job: str, folder: Path, bundle: Path, out: Path, processes: str) -> tuple[float, float]:
    """The peak of memory in MB (resident, all processes of the job), and the seconds."""
    shutil.rmtree(out, ignore_errors=True)
    words = [
        str(COMMAND),
        job,
        str(folder),
        "--out",
        str(out),
        "--bundle",
        str(bundle),
        "--json",
        "--processes",
        processes,
    ]
    began = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    watched, most = psutil.Process(process.pid), dict[int, int]()
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for one in (watched, *watched.children(recursive=True)):
                most[one.pid] = max(most.get(one.pid, 0), high_water(one.pid))
        time.sleep(0.05)
    assert process.stdout is not None
    summary = json.loads(process.stdout.read())
    if process.returncode:
        sys.exit(f"{' '.join(words)} ended with {process.returncode}: {summary}")
    return sum(most.values()) / 2**20, time.perf_counter() - began


if __name__ == "__main__":
    main()
