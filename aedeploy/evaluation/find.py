"""From a bundle and the name or path of --data to the images that are measured on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from aedeploy.bundle import Bundle, DataRecord
from aedeploy.data import DATA_SETS, Split, digits
from aedeploy.data.digest import PixelDigest
from aedeploy.data.idx import is_idx_folder, read_idx_folder
from aedeploy.data.labels import CLASSES, Labels, idx_labels, named_labels, npz_labels
from aedeploy.data.named import data_root, named_folder, read_named
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
    of it. ``root`` is where data sets with a name are, ``limit`` the most images, evenly spaced. Labels come with them
    where the data has some; of those that cannot be used, a note says why.

    Raises:
        ConfigError: there is no telling what to measure on, or a file does not hold images.
        UnknownNameError: ``data`` is neither a known name nor a path.
        NothingToDoError: a folder has no images.
    """
    record = bundle.manifest.provenance.data
    found = _found(bundle, data if data is not None else _trained_on(bundle, record), root, record)
    return found if limit is None else found.sample(limit)


def own_data_absent(bundle: Bundle, root: Path | None = None) -> str | None:
    """Why the images that a bundle was trained on cannot be found by their name, as the end of a sentence on it; None:
    they can.
    """
    record = bundle.manifest.provenance.data
    if record is None:
        return "does not say what it was trained on"
    if record.name not in DATA_SETS:
        return f"was trained on a path, {record.name!r}"
    if record.name != "digits" and named_folder(record.name, root) is None:
        return f"was trained on {record.name!r}, whose files are not here"
    return None


def _found(bundle: Bundle, data: str, root: Path | None, record: DataRecord | None) -> EvaluationImages:
    if data in DATA_SETS:
        split = read_named(data, root)
        if split is None:
            raise ConfigError(
                f"The data set {data!r} is not in {data_root(root)}, and evaluate downloads nothing: point --data-root "
                "at a folder that has its files, or name other images with --data."
            )
        return _of_split(data, split, named_labels(data, root, len(split.held_out)), record, CLASSES[data])
    path = Path(data)
    name = path.resolve().name or "images"
    if path.is_dir():
        if not is_idx_folder(path):
            return _of_folder(path, name, record)
        split = read_idx_folder(path)
        images = len(split.train) + len(split.held_out)
        if split.rule != split_rule(images, len(split.held_out)):
            return _of_split(name, split, idx_labels(path, len(split.held_out)), record)
        return _of_array(_joined(split), idx_labels(path, images), name, bundle, record)
    if path.is_file() and path.suffix.lower() == ".npz":
        pixels = read_npz_images(path)
        return _of_array(pixels, npz_labels(path, len(pixels)), path.resolve().stem, bundle, record)
    if path.is_file():
        return _of_folder(path, name, None)
    if os.sep in data or path.suffix:
        raise ConfigError(f"--data {data}: there is no such file or folder; known by name: {', '.join(DATA_SETS)}.")
    raise UnknownNameError("data set or folder", data, DATA_SETS)


def _trained_on(bundle: Bundle, record: DataRecord | None) -> str:
    if record is not None and record.name in DATA_SETS:
        return record.name
    raise ConfigError(f"Bundle {bundle.name!r} {own_data_absent(bundle)}: give the images to measure on with --data.")


def _of_split(
    name: str, split: Split, labels: Labels, record: DataRecord | None, classes: tuple[str, ...] = ()
) -> EvaluationImages:
    """Data with a test part of its own, and the labels of that."""
    notes = _notes(labels)
    if record is not None and record.name == "digits" and name != "digits" and _holds_the_digits(split.held_out):
        notes = (
            "9,000 of MNIST's 10,000 test images, which these are, are those that the model was trained on as digits.",
            *notes,
        )
    return EvaluationImages(
        name=name,
        part=split.rule,
        test=ArrayImages(split.held_out, labels.names),
        train=ArrayImages(split.train),
        notes=notes,
        classes=classes,
    )


def _of_array(
    images: np.ndarray, labels: Labels, name: str, bundle: Bundle, record: DataRecord | None
) -> EvaluationImages:
    """Data without a test part: what was held out when the model was trained on it, or all of it."""
    if record is not None and record.train + record.held_out == len(images):
        split = split_images(images, record.held_out)
        if images_digest(bundle, split.train, split.held_out) == record.digest:
            return _of_split(name, split, labels.at(held_out_indices(len(images), record.held_out)), record)
    test = ArrayImages(images, labels.names)
    return EvaluationImages(name=name, part=f"all {len(images)} images", test=test, notes=_notes(labels))


def _of_folder(path: Path, name: str, record: DataRecord | None) -> EvaluationImages:
    listing = list_images(path)
    notes: tuple[str, ...] = ()
    if record is not None and record.name == name:
        notes = (
            f"The model was trained on a folder of this name: the figures flatter it where {record.train} of these "
            "images are those it has seen.",
        )
    return EvaluationImages(name=name, part="all images", test=FileImages(listing.root, listing.images), notes=notes)


def _notes(labels: Labels) -> tuple[str, ...]:
    return () if labels.note is None else (labels.note,)


def images_digest(bundle: Bundle, train: np.ndarray, held_out: np.ndarray) -> str:
    """Of images of any size, uint8 [N, H, W, C], in the bundle's size and colour, as training on them recorded it."""
    geometry = image_geometry(bundle)
    digest = PixelDigest((geometry.channels, geometry.height, geometry.width))
    for part in (train, held_out):
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
    if len(images) != 10 * len(embedded):  # those held out alone are none that a model was trained on
        return False
    return np.array_equal(images[held_out_indices(len(images), len(embedded))], embedded)
