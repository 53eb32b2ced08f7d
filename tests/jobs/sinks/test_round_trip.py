"""From image files to latents of every kind, and back to images of every kind, by whole jobs."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aedeploy.jobs.run import Summary

NAMES = ("a.png", "d/b.png", "d/ü c.png")


def images_of(folder: Path) -> dict[str, np.ndarray]:
    found = {}
    for path in sorted(folder.rglob("*.png")):
        with Image.open(path) as image:
            found[path.relative_to(folder).as_posix()] = np.asarray(image)
    return found


@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors", "tar"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_latents_of_every_kind_decode(
    tmp_path: Path, run: Callable[..., Summary], make_images: Callable[..., Path], format: str, dtype: str
) -> None:
    inputs = images_of(make_images(*NAMES))
    run("encode", out="latents", latent_format=format, latent_dtype=dtype)
    summary = run("decode", source="latents", out="out")
    assert (summary.ok, summary.failed) == (3, 0)
    decoded = images_of(tmp_path / "out")
    assert list(decoded) == list(inputs)
    for name, image in inputs.items():
        # A plain grey is what the model gives back as it was; float16 has 11 bits of it.
        assert abs(decoded[name].astype(int) - image).max() <= (1 if dtype == "float16" else 0)


@pytest.mark.parametrize("options", [{}, {"names": "full"}])
def test_an_archive_has_what_a_tree_has(
    tmp_path: Path, run: Callable[..., Summary], make_images: Callable[..., Path], options: dict[str, Any]
) -> None:
    make_images(*NAMES)
    run("reconstruct", out="tree", **options)
    run("reconstruct", out="tar", container="tar", **options)
    tree = {name: (tmp_path / "tree" / name).read_bytes() for name in images_of(tmp_path / "tree")}
    with tarfile.open(tmp_path / "tar" / "images-00000.tar") as archive:
        members = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    assert members == tree
    assert len(tree) == 3
