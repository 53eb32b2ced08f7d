"""Latent arithmetic: z₁ + z₂ − z₃, decoded, is where it should be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aedeploy.errors import ConfigError, PictureError
from aedeploy.pictures import Subject, draw
from aedeploy.pictures.kinds.arithmetic import combined

SubjectOf = Callable[..., Subject]
ImagesOf = Callable[..., np.ndarray]
Cells = Callable[..., np.ndarray]


def test_the_sum_is_that_of_the_rows() -> None:
    rows = np.array([[1, 2], [10, 20], [100, 200]], np.float32)
    found = combined(rows, 2, 1, 0)
    np.testing.assert_array_equal(found, [109, 218])
    assert found.dtype == np.float32


@pytest.mark.parametrize("channels", [1, 3])
def test_the_last_image_of_a_row_is_the_decoded_sum(
    subject_of: SubjectOf, images_of: ImagesOf, cells: Cells, low_pass: Any, channels: int
) -> None:
    model = type(low_pass)(channels)
    pixels = images_of(6, channels)
    subject = subject_of(pixels)
    picture = draw("arithmetic", subject, first=4, plus=1, minus=3)
    shown = cells(picture, 0, 4, (8, 8, channels))[..., :3]
    latents = model.encode(pixels)
    wanted = model.decode((latents[4] + latents[1] - latents[3])[None])
    np.testing.assert_allclose(shown[3], np.broadcast_to(wanted[0], (8, 8, 3)), atol=0.51)
    again = np.broadcast_to(subject.reconstructions[[4, 1, 3]], (3, 8, 8, 3))
    np.testing.assert_array_equal(shown[:3], again)
    assert picture.figures == {"triples": [[4, 1, 3]], "nearest_class": [None]}
    (label,) = picture.figure.axes[0].get_yticklabels()
    assert label.get_text() == "image 4 + image 1 − image 3"


def test_the_nearest_class_is_that_of_the_nearest_mean(
    subject_of: SubjectOf, images_of: ImagesOf, low_pass: Any
) -> None:
    pixels = images_of(30)
    labels = [f"{'abcd'[at % 4]}" for at in range(30)]
    picture = draw("arithmetic", subject_of(pixels, labels), first="a", plus=5, minus="c")
    ((first, plus, minus),) = picture.figures["triples"]
    assert (labels[first], plus, labels[minus]) == ("a", 5, "c")
    latents = low_pass.encode(pixels)
    means = {name: latents[np.array(labels) == name].mean(axis=0) for name in "abcd"}
    point = latents[first] + latents[plus] - latents[minus]
    assert picture.figures["nearest_class"] == [min(means, key=lambda name: np.linalg.norm(means[name] - point))]


@pytest.mark.parametrize(("classes", "rows"), [(3, 1), (4, 2), (5, 3), (6, 4), (11, 4)])
def test_by_default_each_row_has_three_classes(
    subject_of: SubjectOf, images_of: ImagesOf, classes: int, rows: int
) -> None:
    labels = [f"c{at % classes:02}" for at in range(3 * classes)]
    picture = draw("arithmetic", subject_of(images_of(3 * classes), labels))
    assert len(picture.figures["triples"]) == rows
    for triple in picture.figures["triples"]:
        assert len({labels[at] for at in triple}) == 3


@pytest.mark.parametrize(("images", "rows"), [(3, 1), (5, 3), (40, 4)])
def test_without_labels_each_row_has_three_images(
    subject_of: SubjectOf, images_of: ImagesOf, images: int, rows: int
) -> None:
    picture = draw("arithmetic", subject_of(images_of(images)))
    assert len(picture.figures["triples"]) == rows
    assert all(len(set(triple)) == 3 for triple in picture.figures["triples"])


def test_what_makes_no_sum_is_refused(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    with pytest.raises(ConfigError, match="first, plus and minus go together"):
        draw("arithmetic", subject_of(images_of(4)), first=1, minus=2)
    with pytest.raises(PictureError, match="takes three images: give more with --data"):
        draw("arithmetic", subject_of(images_of(2)))
    with pytest.raises(ConfigError, match="plus=cat: the images have no labels"):
        draw("arithmetic", subject_of(images_of(4)), first=1, plus="cat", minus=2)
