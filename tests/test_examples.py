"""The examples run as they are, on a real bundle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle.store import GOLDEN_FILE

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "onnxruntime_only.py"


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_bundle_runs_without_aedeploy(tmp_path: Path, mode: str) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny", mode=mode)
    Image.fromarray(np.tile(np.linspace(0, 255, 40, dtype=np.uint8), (30, 1))).save(tmp_path / "slope.png")
    # -I: nothing of this checkout is on the path, so that the example stands alone.
    command = [sys.executable, "-I", str(EXAMPLE), str(bundle.path), "slope.png"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "golden vectors agree" in done.stdout
    with Image.open(tmp_path / "reconstruction.png") as image:
        assert (image.mode, image.size) == (mode, (8, 8))
        columns = np.asarray(image.convert("L")).mean(axis=0)
    assert (np.diff(columns) > 0).all()


def test_the_example_stops_where_the_runtime_is_wrong(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    bundle = write_tiny_bundle(tmp_path / "tiny")
    golden = load_file(bundle.path / GOLDEN_FILE)
    golden["encoder/3/latent"] = golden["encoder/3/latent"] + np.float32(0.01)
    save_file(golden, bundle.path / GOLDEN_FILE)
    Image.new("L", (8, 8)).save(tmp_path / "black.png")
    command = [sys.executable, str(EXAMPLE), str(bundle.path), "black.png"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "does not compute what PyTorch computed" in done.stderr
