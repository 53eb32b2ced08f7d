"""How long an export takes: three graphs, ONNX and TorchScript, parity included, process included."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from measure import at_most, interleave, process, report

COMMAND = Path(sys.executable).with_name("aedeploy")
VARIANTS = ("ae", "vae", "denoising")


def main() -> None:
    """Train one bundle a variant for an epoch, untimed, and time its export."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for variant in VARIANTS:
            process(
                [COMMAND, "train", "--variant", variant, "--epochs", "1", "--out", f"artifacts/{variant}"], folder
            )()
        seconds = interleave(
            {
                variant: process([COMMAND, "export", f"artifacts/{variant}", "-f", "onnx", "-f", "torchscript"], folder)
                for variant in VARIANTS
            },
            rounds=3,
            warm_up=1,
        )
    slowest = max(statistics.median(rounds) for rounds in seconds.values())
    report("export", seconds, [at_most("seconds an export, the slowest of them", slowest, 12.0)])


if __name__ == "__main__":
    main()
