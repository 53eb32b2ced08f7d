"""A trained model, written as a bundle: weights, golden vectors, model card, and the manifest last."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from aedeploy import __version__
from aedeploy.bundle import SCHEMA_VERSION, Bundle, DataRecord, Manifest
from aedeploy.bundle.card import write_card
from aedeploy.bundle.golden import BATCHES, MOST_SAMPLE_BYTES, MOST_SAMPLES
from aedeploy.bundle.software import installed_software
from aedeploy.bundle.store import (
    CARD_FILE,
    GOLDEN_FILE,
    MANIFEST_FILE,
    WEIGHTS_FILE,
    open_bundle,
    record_file,
    write_manifest,
)
from aedeploy.errors import BundleError
from aedeploy.files import locked
from aedeploy.models.build import BuiltModel
from aedeploy.models.store import provenance, write_model_files
from aedeploy.recipes import Recipe
from aedeploy.training.data.image_set import ImageSet
from aedeploy.training.data.patches import Patches
from aedeploy.training.destination import drop_exports

_MOST_PATCH_BYTES = 2**17


@dataclass(frozen=True, kw_only=True)
class Training:
    """What a manifest says of how a model came to be."""

    recipe: Recipe
    data: DataRecord
    seed: int
    metrics: Mapping[str, float | int | None]
    device: str


def publish(
    out: Path, built: BuiltModel, weights: Mapping[str, Tensor], held_out: ImageSet, training: Training
) -> Bundle:
    """Write the bundle of ``weights`` into ``out``. What was exported there stays if it is of the same weights.

    A bundle that is there stays whole until all files of the new one are on the disk. Then its manifest goes first and
    the new one comes last: a manifest never vouches for files that are not its own, wherever the process ends.

    Golden vectors are made of held-out images, by PyTorch eager on the CPU in float32.
    """
    samples = sample_images(held_out)
    module = copy.deepcopy(built.module).cpu().eval()
    module.load_state_dict(dict(weights))
    with _staging(out) as new:
        write_model_files(new, replace(built, module=module), samples, weights)
        manifest = _manifest(out.absolute().name, new, built, training)
        # An export of what was there may be at its end just now.
        with locked(out):
            return _replace(out, new, manifest)


def _replace(out: Path, new: Path, manifest: Manifest) -> Bundle:
    """Put the files in ``new`` in the place of those in ``out``."""
    before = _manifest_in(out)
    if before and before.digest == manifest.digest and before.recipe.get("model") == manifest.recipe["model"]:
        software = {**before.software, **manifest.software}
        kept = {"graphs": before.graphs, "any_size": before.any_size, "software": software}
        manifest = manifest.model_copy(update=kept)
    write_card(Bundle(new, manifest))
    write_manifest(new, manifest)
    (out / MANIFEST_FILE).unlink(missing_ok=True)
    if not manifest.graphs:
        drop_exports(out)
    for name in (WEIGHTS_FILE, GOLDEN_FILE, CARD_FILE, MANIFEST_FILE):
        os.replace(new / name, out / name)
    return Bundle(out, manifest)


@contextmanager
def _staging(out: Path) -> Iterator[Path]:
    """A folder in the bundle, so that moving a file out of it is a rename; removed at the end, or by the next run."""
    folder = out / ".new"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _manifest(name: str, files: Path, built: BuiltModel, training: Training) -> Manifest:
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=name,
        recipe=training.recipe.as_dict(),
        image=built.image,
        latent=built.latent,
        noise=built.noise,
        weights=record_file(files, WEIGHTS_FILE),
        golden=record_file(files, GOLDEN_FILE),
        metrics=dict(training.metrics),
        provenance=provenance(release=__version__, device=training.device, seed=training.seed, data=training.data),
        software={"training": installed_software(("train",))},
    )


def _manifest_in(out: Path) -> Manifest | None:
    try:
        return open_bundle(out).manifest
    except BundleError:
        return None


def sample_images(images: ImageSet) -> Tensor:
    """Some of ``images``, evenly spread over them: uint8 [N, C, H, W], on the CPU; as many as a golden file takes."""
    # Of patches fewer: they are for bundles that travel.
    most = _MOST_PATCH_BYTES if isinstance(images, Patches) else MOST_SAMPLE_BYTES
    count = min(len(images), max(*BATCHES, min(MOST_SAMPLES, most // prod(images.image_shape))))
    positions = torch.arange(count) * len(images) // count
    return next(images.batches(iter([positions]))).cpu()
