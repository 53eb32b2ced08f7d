"""Colours through a program: nothing is swapped, on the way in or out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import aedeploy
from aedeploy.bundle import Bundle


def assert_colours_are_kept(
    run: Callable[..., subprocess.CompletedProcess[str]], folder: Path, bundle: Bundle, tmp_path: Path
) -> None:
    """``run`` calls the program in ``folder``, which was written around ``bundle``, a model of RGB images."""
    assert run(folder, "self-test").returncode == 0
    image = tmp_path / "red.png"
    Image.new("RGB", (20, 30), (250, 90, 10)).save(image)
    codec = aedeploy.load(bundle)
    encoded = run(folder, "encode", image)
    np.testing.assert_allclose(json.loads(encoded.stdout)["latent"], codec.encode([image])[0], rtol=1e-5, atol=1e-5)
    assert run(folder, "reconstruct", image, tmp_path / "out.png").returncode == 0
    written = Image.open(tmp_path / "out.png")
    assert written.mode == "RGB"
    assert np.abs(np.asarray(written).astype(int) - codec.reconstruct([image])[0]).max() <= 1
