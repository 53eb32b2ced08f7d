"""Ten epochs of ``mlp-32`` on MNIST: ``aedeploy train`` beside the usual loop, both as whole processes.

The usual loop is that of tutorials: torchvision's MNIST with ToTensor, a shuffling DataLoader, plain Adam. Both train
the same network with the same hyperparameters.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import at_least, at_most, interleave, ratio, report

COMMAND = Path(sys.executable).with_name("aedeploy")
MNIST = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
FILES = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
EPOCHS, BATCH_SIZE, LR = 10, 128, 1e-3
ROUNDS = 3


def main() -> None:
    """Measure both in turn; the losses are the same in every round."""
    if not MNIST.is_dir():
        sys.exit("MNIST's files are not beside this checkout, in ../shared/data/mnist.")
    printed: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raw = folder / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for file in FILES:
            (raw / file).write_bytes(gzip.decompress((MNIST / f"{file}.gz").read_bytes()))
        ours = [COMMAND, "train", "--variant=mlp-32", "--data=mnist", f"--data-root={MNIST}", f"--epochs={EPOCHS}"]
        ours += [f"--out={folder / 'bundle'}", "--overwrite", "--json", "--quiet"]
        seconds = interleave(
            {
                "usual loop": printing([sys.executable, __file__, folder], printed, "usual loop"),
                "aedeploy train": printing(ours, printed, "aedeploy train"),
            },
            rounds=ROUNDS,
            warm_up=0,
        )
    train_bce, test_bce = printed["aedeploy train"]["train_loss"], printed["aedeploy train"]["test"]["bce"]
    targets = [
        at_least("the usual loop against aedeploy train", ratio(seconds, "usual loop", "aedeploy train"), 4.0),
        at_most("BCE of the last epoch", train_bce, 0.0875),
        at_most("BCE of the test set", test_bce, 0.0865),
    ]
    report("train_mnist", seconds, targets, epochs=EPOCHS, usual_loop=printed["usual loop"])


def printing(arguments: list[str | Path], printed: dict[str, Any], name: str) -> Callable[[], None]:
    """A contender that runs a process, and keeps the JSON object that it prints under its name."""

    def run() -> None:
        done = subprocess.run([str(part) for part in arguments], stdout=subprocess.PIPE, check=True)
        printed[name] = json.loads(done.stdout)

    return run


def usual_loop(root: Path) -> dict[str, float]:
    """The loop that tutorials teach: BCE over the batches of the last epoch, and of the test set after it."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    torch.manual_seed(0)
    train_set = datasets.MNIST(root, train=True, transform=transforms.ToTensor())
    test_set = datasets.MNIST(root, train=False, transform=transforms.ToTensor())
    loader = DataLoader(train_set, batch_size=BATCH_SIZE, shuffle=True)
    encoder = [nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 32)]
    decoder = [nn.Linear(32, 128), nn.ReLU(), nn.Linear(128, 784), nn.Sigmoid()]
    model = nn.Sequential(*encoder, *decoder)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    criterion = nn.BCELoss()
    for _ in range(EPOCHS):
        running = 0.0
        for images, _labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(images), images.flatten(1))
            loss.backward()
            optimizer.step()
            running += loss.item()
    with torch.no_grad():
        losses = [criterion(model(images), images.flatten(1)).item() for images, _ in DataLoader(test_set, 1000)]
    return {"train_bce": running / len(loader), "test_bce": sum(losses) / len(losses)}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(usual_loop(Path(sys.argv[1]))))
    else:
        main()
