"""A folder of images to a file of latents: ``aedeploy encode`` beside the loop that people write.

The loop is torchvision's ImageFolder, a DataLoader with two workers and batches of 64, and the PyTorch model. The
prototype is what one writes without PyTorch: Pillow and onnxruntime, chunks of 32, two threads, one engine thread each.
All start with the folder and end with a file on the disk, in a process that has imported what it needs. Three folders:
28×28 PNGs, JPEGs of 481×321, and photographs of up to 12 megapixels (../shared/data/photos, beside a developer's
checkout; without it, the JPEGs are made of the embedded digits). The ratios mean something on an idle machine only:
the loop's threads wait for one another, and lose far more than their share to any other process.

    python benchmarks/folder_to_latents.py --rounds 5
    python benchmarks/folder_to_latents.py --quick       a few images, to see that it runs
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from measure import Target, at_least, interleave, process, ratio, report
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets.folder import default_loader

import aedeploy.data
from aedeploy.bundle import Bundle, open_bundle
from aedeploy.images.folder import list_images
from aedeploy.images.read import Decode
from aedeploy.jobs.plan import plan_job
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.run import run_job
from aedeploy.models.load import load_model

COMMAND = Path(sys.executable).with_name("aedeploy")
PHOTOS = Path(__file__).resolve().parents[2] / "shared" / "data" / "photos"
BATCH = 64
LEAST = {"28×28 PNG": 2.0, "481×321 JPEG": 3.3, "photographs": 1.3}
#: Photographs, decoded at a reduced scale.
LEAST_SCALED = 3.5


def main() -> None:
    """Make the folders and the bundles, untimed; time both contenders on each folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="Timed rounds of each contender.")
    parser.add_argument("--quick", action="store_true", help="Few images and one round: to see that it runs.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        tiny = write_digits(work / "png", 500 if arguments.quick else 10_000)
        small = write_jpegs(work / "jpeg", 50 if arguments.quick else 1_000)
        digits = train(work / "digits", ["--variant", "mlp-32"])
        colour = train(work / "colour", ["--data", str(small), "--image-size", "128"])
        folders = {"28×28 PNG": (tiny, digits), "481×321 JPEG": (small, colour)}
        if PHOTOS.is_dir():
            photos = PHOTOS
            if arguments.quick:
                photos = work / "photos"
                photos.mkdir()
                for path in islice(sorted(PHOTOS.rglob("*.[jJ][pP][gG]")), 10):
                    shutil.copy(path, photos)
            folders["photographs"] = (photos, colour)
        seconds, targets, rates = {}, [], {}
        for what, (folder, bundle) in folders.items():
            timed, more, rate = contest(what, folder, bundle, work / "out", 1 if arguments.quick else arguments.rounds)
            seconds |= timed
            targets += more
            rates |= rate
    report("folder_to_latents", seconds, targets, images_a_second=rates)


def contest(
    what: str, folder: Path, bundle: Bundle, out: Path, rounds: int
) -> tuple[dict[str, list[float]], list[Target], dict[str, int]]:
    """All contenders on one folder: their seconds, the targets, and their images a second."""
    paths = [folder / name for name in list_images(folder).images]
    contenders: dict[str, Callable[[], object]] = {
        f"{what}, aedeploy": lambda: encode(folder, bundle, out, len(paths)),
        f"{what}, usual loop": lambda: usual_loop(paths, bundle, out),
        f"{what}, prototype": lambda: prototype(paths, bundle, out),
    }
    if what == "photographs":
        contenders[f"{what}, aedeploy, scaled"] = lambda: encode(folder, bundle, out, len(paths), decode="scaled")

    def empty() -> None:
        shutil.rmtree(out, ignore_errors=True)

    seconds = interleave(contenders, rounds=rounds, between=empty)
    ours, usual, simple, *scaled = contenders
    targets = [
        at_least(f"{what}: times as fast as the usual loop", ratio(seconds, usual, ours), LEAST[what]),
        at_least(f"{what}: times as fast as the prototype", ratio(seconds, simple, ours), 1.0),
    ]
    for title in scaled:
        words = f"{what}, --decode scaled: times as fast as the usual loop"
        targets.append(at_least(words, ratio(seconds, usual, title), LEAST_SCALED))
    rates = {name: round(len(paths) / float(np.median(rounds_of))) for name, rounds_of in seconds.items()}
    return seconds, targets, rates


def encode(folder: Path, bundle: Bundle, out: Path, images: int, decode: Decode = "full") -> None:
    """What the command does, less its start."""
    request = JobRequest(job="encode", bundle=bundle, source=folder, output=out, decode=decode)
    *_, summary = run_job(plan_job(request))
    if summary.ok != images:
        sys.exit(f"{summary.ok} of {images} images were encoded: {summary.failures[:3]}")


class Paths(Dataset):  # type: ignore[type-arg]
    """What torchvision's ImageFolder does with a path, of a folder that has no classes."""

    def __init__(self, paths: Sequence[Path], mode: str, height: int, width: int) -> None:
        self.paths = paths
        grey = [transforms.Grayscale()] if mode == "L" else []
        self.transform = transforms.Compose([*grey, transforms.Resize((height, width)), transforms.ToTensor()])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.transform(default_loader(str(self.paths[index])))


def usual_loop(paths: Sequence[Path], bundle: Bundle, out: Path) -> None:
    """Batches through the model in eval mode, latents in one array at the end."""
    image = bundle.manifest.image
    model = load_model(bundle).module
    loader = DataLoader(Paths(paths, image.mode, image.height, image.width), batch_size=BATCH, num_workers=2)
    with torch.no_grad():
        latents = [model.encode(batch)["latent"] for batch in loader]
    out.mkdir()
    np.save(out / "latents.npy", torch.cat(latents).numpy())


def prototype(paths: Sequence[Path], bundle: Bundle, out: Path) -> None:
    """Chunks of files through Pillow and onnxruntime, latents in one array at the end."""
    image = bundle.manifest.image
    graph = bundle.manifest.graph("encoder", "onnx")
    assert graph is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(bundle.path / graph.file.path), options)

    def chunk(start: int) -> np.ndarray:
        pixels = []
        for path in paths[start : start + 32]:
            with Image.open(path) as opened:
                small = opened.convert(image.mode).resize((image.width, image.height), Image.Resampling.BILINEAR)
            pixels.append(np.asarray(small, np.float32).reshape(image.height, image.width, -1).transpose(2, 0, 1) / 255)
        latent: np.ndarray = session.run(["latent"], {"image": np.stack(pixels)})[0]
        return latent

    with ThreadPoolExecutor(2) as threads:
        latents = list(threads.map(chunk, range(0, len(paths), 32)))
    out.mkdir()
    np.save(out / "latents.npy", np.concatenate(latents))


def train(out: Path, options: Sequence[str]) -> Bundle:
    """A bundle with ONNX graphs, trained just enough to be one."""
    process([COMMAND, "train", "--epochs", "1", "--out", out, "--quiet", *options])()
    process([COMMAND, "export", out, "--format", "onnx", "--quiet"])()
    return open_bundle(out)


def write_digits(folder: Path, count: int) -> Path:
    """The embedded digits as PNGs of 28×28."""
    folder.mkdir()
    for number, digit in enumerate(islice(digits(), count)):
        Image.fromarray(digit).save(folder / f"{number:05d}.png")
    return folder


def write_jpegs(folder: Path, count: int) -> Path:
    """JPEGs of 481×321, of the photographs where they are, each time of another part of one."""
    folder.mkdir()
    sources = sorted(PHOTOS.rglob("*.[jJ][pP][gG]"))
    random = np.random.default_rng(0)
    for number in range(count):
        if sources:
            image = Image.open(sources[number % len(sources)])
            image.draft("RGB", (962, 642))
        else:
            image = Image.fromarray(next(islice(digits(), number % 100, None)))
        width, height = image.size
        left, top = random.integers(0, width // 4 + 1), random.integers(0, height // 4 + 1)
        part = image.convert("RGB").resize((481, 321), box=(left, top, left + 3 * width // 4, top + 3 * height // 4))
        part.save(folder / f"{number:05d}.jpg", quality=90)
    return folder


def digits() -> cycle[np.ndarray]:
    """The embedded digits, uint8 [28, 28], over and over."""
    packed = Path(aedeploy.data.__file__).with_name("t10k-images-idx3-ubyte.gz")
    return cycle(np.frombuffer(gzip.decompress(packed.read_bytes()), np.uint8, offset=16).reshape(-1, 28, 28))


if __name__ == "__main__":
    main()
