"""From a bundle and the name or path of --data to the images that are measured on."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from aedeploy.bundle import Bundle, DataRecord
from aedeploy.data import DATA_SETS, Split, digits
from aedeploy.data.digest import PixelDigest
from aedeploy.data.idx import is_idx_folder, read_idx_folder
from aedeploy.data.named import data_root, read_named
from aedeploy.data.npz import read_npz_images
from aedeploy.data.split import held_out_indices, split_images, split_rule
from aedeploy.errors import ConfigError, UnknownNameError
from aedeploy.evaluation.images import ArrayImages, EvaluationImages, FileImages
from aedeploy.images.folder import list_images
from aedeploy.runtime.codec import auto_batch_size, image_geometry


def find_images(
    bundle: Bundle, data: str | None = None, *, root: Path | None = None, limit: int | None = None
) -> EvaluationImages:
    """The images of ``data``, a name or a path; None: those of the data set that the bundle was trained on.

    Of data that has a test part, that; of the array that the bundle was trained on, what was held out then; else all
    of it. ``root`` is where data sets with a name are, ``limit`` the most images, evenly spaced.

    Raises:
        ConfigError: there is no telling what to measure on, or a file does not hold images.
        UnknownNameError: ``data`` is neither a known name nor a path.
        NothingToDoError: a folder has no images.
    """
    record = bundle.manifest.provenance.data
    found = _found(bundle, data if data is not None else _trained_on(bundle, record), root, record)
    if limit is None or limit >= len(found.test):
        return found
    return replace(found, test=found.test.sample(limit), part=f"{found.part}; {limit} of these, evenly spaced")


def _found(bundle: Bundle, data: str, root: Path | None, record: DataRecord | None) -> EvaluationImages:
    if data in DATA_SETS:
        split = read_named(data, root)
        if split is None:
            raise ConfigError(
                f"The data set {data!r} is not in {data_root(root)}, and evaluate downloads nothing: point --data-root "
                "at a folder that has its files, or name other images with --data."
            )
        return _of_split(data, split, record)
    path = Path(data)
    name = path.resolve().name or "images"
    if path.is_dir():
        if not is_idx_folder(path):
            return _of_folder(path, name, record)
        split = read_idx_folder(path)
        images = len(split.train) + len(split.held_out)
        if split.rule != split_rule(images, len(split.held_out)):
            return _of_split(name, split, record)
        return _of_array(_joined(split), name, bundle, record)
    if path.is_file() and path.suffix.lower() == ".npz":
        return _of_array(read_npz_images(path), path.resolve().stem, bundle, record)
    if path.is_file():
        return _of_folder(path, name, None)
    if os.sep in data or path.suffix:
        raise ConfigError(f"--data {data}: there is no such file or folder; known by name: {', '.join(DATA_SETS)}.")
    raise UnknownNameError("data set or folder", data, DATA_SETS)


def _trained_on(bundle: Bundle, record: DataRecord | None) -> str:
    if record is not None and record.name in DATA_SETS:
        return record.name
    trained = "does not say what it was trained on" if record is None else f"was trained on a path, {record.name!r}"
    raise ConfigError(f"Bundle {bundle.name!r} {trained}: give the images to measure on with --data.")


def _of_split(name: str, split: Split, record: DataRecord | None) -> EvaluationImages:
    """Data with a test part of its own."""
    notes: tuple[str, ...] = ()
    if record is not None and record.name == "digits" and name != "digits" and _holds_the_digits(split.held_out):
        notes = (
            "9,000 of these images are those that the model was trained on: the digits are the test images of MNIST.",
        )
    return EvaluationImages(
        name=name, part=split.rule, test=ArrayImages(split.held_out), train=ArrayImages(split.train), notes=notes
    )


def _of_array(images: np.ndarray, name: str, bundle: Bundle, record: DataRecord | None) -> EvaluationImages:
    """Data without a test part: what was held out when the model was trained on it, or all of it."""
    if record is not None and record.train + record.held_out == len(images):
        split = split_images(images, record.held_out)
        if _digest(split, bundle) == record.digest:
            return _of_split(name, split, record)
    return EvaluationImages(name=name, part=f"all {len(images)} images", test=ArrayImages(images))


def _of_folder(path: Path, name: str, record: DataRecord | None) -> EvaluationImages:
    listing = list_images(path)
    notes: tuple[str, ...] = ()
    if record is not None and record.name == name:
        notes = (
            f"The model was trained on a folder of this name: the figures flatter it where {record.train} of these "
            "images are those it has seen.",
        )
    return EvaluationImages(name=name, part="all images", test=FileImages(listing.root, listing.images), notes=notes)


def _digest(split: Split, bundle: Bundle) -> str:
    """Of images in the bundle's size and colour, as training recorded it."""
    geometry = image_geometry(bundle)
    digest = PixelDigest((geometry.channels, geometry.height, geometry.width))
    for part in (split.train, split.held_out):
        for pixels in ArrayImages(part).batches(geometry, auto_batch_size(geometry)):
            digest.update(np.ascontiguousarray(pixels))
    return digest.hexdigest()


def _joined(split: Split) -> np.ndarray:
    """Images that were split evenly, in their own order."""
    count = len(split.train) + len(split.held_out)
    kept_back = np.zeros(count, dtype=bool)
    kept_back[held_out_indices(count, len(split.held_out))] = True
    images = np.empty((count, *split.train.shape[1:]), dtype=np.uint8)
    images[kept_back], images[~kept_back] = split.held_out, split.train
    return images


def _holds_the_digits(images: np.ndarray) -> bool:
    embedded = digits().held_out
    chosen = images[held_out_indices(len(images), len(embedded))] if len(images) == 10 * len(embedded) else images
    return np.array_equal(chosen, embedded)
