"""Images in a model's own size, each with what it shows where that is known: what pictures of latents are made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aedeploy.bundle import Bundle
from aedeploy.bundle.golden import load_samples
from aedeploy.data import DATA_SETS
from aedeploy.data.digits import HELD_OUT, every_digit
from aedeploy.data.known import digits_trained_on
from aedeploy.data.labels import CLASSES, digits_at, in_order
from aedeploy.data.split import held_out_indices
from aedeploy.errors import ConfigError, IntegrityError
from aedeploy.evaluation.find import find_images, images_digest, own_data_absent
from aedeploy.evaluation.images import ArrayImages, EvaluationImages, Failure
from aedeploy.runtime.codec import auto_batch_size, image_geometry

# What the test parts of the data sets with a name are, in a sentence.
_TEST_PARTS = {
    "digits": "images of the embedded digits' test part",
    "mnist": "digits of MNIST's test set",
    "fashion-mnist": "images of Fashion-MNIST's test set",
    "cifar10": "images of CIFAR-10's test set",
}


@dataclass(frozen=True, kw_only=True)
class LabelledImages:
    """Images in a model's own size and colour, ``pixels``: uint8 [N, H, W, C], N ≥ 1.

    ``labels``: what each of them shows, None for one that has no label; or None where none has one. ``classes``: the
    names that occur, in their order: the data set's own, numbers by value, others by the alphabet. ``about``: what the
    images are, a sentence without its full stop. ``held_out``: whether the model was trained on none of them; None:
    that is not known. ``failures``: files that were left out. ``notes`` are for a person.
    """

    pixels: np.ndarray
    labels: tuple[str | None, ...] | None
    classes: tuple[str, ...]
    about: str
    held_out: bool | None
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]


def labelled_images(
    bundle: Bundle, data: str | None = None, *, root: Path | None = None, limit: int = 1000
) -> LabelledImages:
    """At most ``limit`` images of ``data``, as :func:`aedeploy.evaluation.find.find_images` finds them, in memory.

    Without ``data``, those of the data set that the bundle was trained on. Where that cannot be found: the embedded
    digits that the model was not trained on, if it knows digits by its manifest; else the samples in its golden file.

    Raises:
        ConfigError: there is no telling which images are meant, a file does not hold images, or ``limit`` is below 1.
        UnknownNameError: ``data`` is neither a known name nor a path.
        NothingToDoError: a folder has no images, or none that can be read.
        IntegrityError: the golden file was altered.
    """
    if limit < 1:
        raise ConfigError(f"--limit {limit}: there must be at least 1 image to show.")
    absent = own_data_absent(bundle, root) if data is None else None
    if absent is not None:
        return _of_digits(bundle, limit) or _of_golden(bundle, absent, limit)
    every = find_images(bundle, data, root=root)
    trained_on = _trained_on(bundle, every)
    what = _what(every, data)
    notes: tuple[str, ...] = ()
    if data is None and trained_on is None:
        notes = (
            f"Whether the model was trained on some of these images is not known: its manifest names {every.name!r}, "
            "and the digest in it is not that of the data set of this name as it is here.",
        )
    return _read(bundle, every, limit, what, trained_on, notes)


def _what(found: EvaluationImages, data: str | None) -> str:
    if data is None or data in DATA_SETS:
        return _TEST_PARTS[found.name]
    return f"images of {found.name}" if found.train is None else f"images of the test part of {found.name}"


def _of_digits(bundle: Bundle, limit: int) -> LabelledImages | None:
    record = bundle.manifest.provenance.data
    trained_on = None if record is None else digits_trained_on(record.digest)
    if trained_on is None:
        return None
    positions = np.flatnonzero(~trained_on)
    what = _TEST_PARTS["digits" if trained_on.any() else "mnist"]
    unseen = EvaluationImages(
        name="digits",
        part="the embedded digits that the model was not trained on",
        test=ArrayImages(every_digit()[positions], digits_at(positions).names),
        classes=CLASSES["digits"],
    )
    return _read(bundle, unseen, limit, what, trained_on[positions], ())


def _of_golden(bundle: Bundle, absent: str, limit: int) -> LabelledImages:
    path = bundle.file(bundle.manifest.golden)
    try:
        samples = load_samples(path)
    except IntegrityError:  # the file is as it was written: it was written without them
        samples = np.empty((0, 1, 1, 1), dtype=np.uint8)
    if not len(samples) or samples.shape[3] not in (1, 3):
        raise ConfigError(
            f"Bundle {bundle.name!r} {absent}, and carries no sample images: give images to show with --data."
        )
    # Only training holds images back; of somebody's own model they are what its export was given.
    trained_here = bundle.manifest.provenance.data is not None
    found = EvaluationImages(name=bundle.name, part="samples", test=ArrayImages(samples))
    return _read(
        bundle,
        found,
        limit,
        f"{'held-out' if trained_here else 'sample'} images that the bundle carries",
        np.zeros(len(samples), dtype=bool) if trained_here else None,
        (f"The bundle {absent}: shown are the samples that it carries, without labels; --data shows more.",),
    )


def _trained_on(bundle: Bundle, found: EvaluationImages) -> np.ndarray | None:
    """Which of the images, all that were found, the model was trained on: bool [N]; None: that is not known."""
    record, test = bundle.manifest.provenance.data, found.test
    if record is None or not isinstance(test, ArrayImages):
        return None
    if (
        isinstance(found.train, ArrayImages)
        and record.train + record.held_out == len(found.train) + len(test)
        and images_digest(bundle, found.train.pixels, test.pixels) == record.digest
    ):
        return np.zeros(len(test), dtype=bool)
    trained_on = digits_trained_on(record.digest)
    if trained_on is None:
        return None
    digits = every_digit()
    for positions in (np.arange(len(digits)), held_out_indices(len(digits), HELD_OUT)):
        if np.array_equal(test.pixels, digits[positions]):
            return trained_on[positions]
    return None


def _read(
    bundle: Bundle,
    every: EvaluationImages,
    limit: int,
    what: str,
    trained_on: np.ndarray | None,
    notes: tuple[str, ...],
) -> LabelledImages:
    """Some of ``every``, which are ``what``; ``trained_on`` as :func:`_trained_on` has it."""
    geometry, found = image_geometry(bundle), every.sample(limit)
    read = list(found.test.batches(geometry, auto_batch_size(geometry)))
    if not read:
        raise found.unreadable()
    pixels = np.concatenate(read)
    of = f" of {len(every.test):,}" if len(pixels) < len(every.test) else ""
    about, held_out = f"{len(pixels):,}{of} {what}", None
    if len(every.test) == 1:
        about = about.replace("images", "image", 1)
    if trained_on is not None:
        # What memory holds can all be read: the positions are those of the sample.
        seen = int(trained_on[held_out_indices(len(every.test), len(pixels))].sum())
        held_out = seen == 0
        about += ", which it was not trained on" if held_out else f", {seen:,} of which it was trained on"
    labels = found.test.labels
    return LabelledImages(
        pixels=pixels,
        labels=labels,
        classes=in_order((label for label in labels or () if label is not None), found.classes),
        about=about,
        held_out=held_out,
        failures=found.test.failures,
        notes=(*notes, *found.notes),
    )
