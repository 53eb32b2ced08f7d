"""How a codebook is used: counts, ranks, and the perplexity."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pytest

from aedeploy.bundle import LatentContract
from aedeploy.errors import BackendError, PictureError
from aedeploy.pictures import Subject, draw
from aedeploy.pictures.kinds.codebook import counts, ranks

SubjectOf = Callable[..., Subject]
ImagesOf = Callable[..., np.ndarray]
Cells = Callable[..., np.ndarray]


@pytest.fixture
def coded(subject_of: SubjectOf, images_of: ImagesOf) -> Callable[..., Subject]:
    """A subject whose encoder gives these indices, [N, 2, 2] or [N]."""

    def make(indices: np.ndarray, size: int) -> Subject:
        subject = subject_of(images_of(len(indices)))
        latent = LatentContract(shape=(3, 2, 2), kind="spatial", distribution="point", codebook_size=size)
        subject.bundle = subject.bundle.save(subject.manifest.model_copy(update={"latent": latent}))
        subject.__dict__["code"] = {"latent": np.zeros((len(indices), 3, 2, 2), np.float32), "indices": indices}
        return subject

    return make


def test_counts_fall_and_ranks_follow_them() -> None:
    indices = np.array([[[7, 7], [7, 2]], [[2, 2], [2, 9]]])
    np.testing.assert_array_equal(counts(indices), [4, 3, 1])
    np.testing.assert_array_equal(ranks(indices), [[[1, 1], [1, 0]], [[0, 0], [0, 2]]])


def test_bars_are_shares_and_the_line_is_the_perplexity(coded: Callable[..., Subject], cells: Cells) -> None:
    indices = np.random.default_rng(0).choice([1, 5, 6, 30], (6, 2, 2), p=[0.5, 0.3, 0.15, 0.05])
    subject = coded(indices, 32)
    picture = draw("codebook", subject, images=3)
    shares = np.sort(np.unique(indices, return_counts=True)[1])[::-1] / indices.size
    heights = [patch.get_height() for patch in picture.figure.axes[0].patches]
    np.testing.assert_allclose(heights, 100 * shares)
    perplexity = np.exp(-(shares * np.log(shares)).sum())
    assert picture.figures["perplexity"] == pytest.approx(perplexity)
    assert (picture.figures["size"], picture.figures["used"]) == (32, len(shares))
    assert picture.figures["bits"] == pytest.approx(4 * 5)
    assert picture.figures["entropy_bits"] == pytest.approx(4 * np.log2(perplexity))
    # The first perplexity-many bars are left of the line.
    (line,) = picture.figure.axes[0].get_lines()
    assert line.get_xdata()[0] == pytest.approx(perplexity - 0.5)
    order = np.argsort(-np.bincount(indices.ravel()), kind="stable")
    colours = mpl.colormaps["cividis"](np.arange(len(shares)) / (len(shares) - 1), bytes=True)
    shown = cells(picture, 1, 3, (8, 8, 1), axes=1)
    for at, image in enumerate((0, 2, 5)):  # evenly spaced
        np.testing.assert_array_equal(cells(picture, 0, 3, (8, 8, 1), axes=1)[at][..., :1], subject.pixels[image])
        for y, x in np.ndindex(2, 2):
            rank = int(np.flatnonzero(order == indices[image, y, x])[0])
            assert (shown[at][4 * y : 4 * y + 4, 4 * x : 4 * x + 4] == colours[rank]).all()


def test_a_code_for_a_whole_image_has_no_map(coded: Callable[..., Subject]) -> None:
    picture = draw("codebook", coded(np.array([3, 3, 1]), 4))
    assert len(picture.figure.axes) == 1
    assert "below" not in picture.reading
    assert picture.figures["used"] == 2


def test_one_code_for_all_is_drawn(coded: Callable[..., Subject]) -> None:
    picture = draw("codebook", coded(np.full((2, 2, 2), 3), 4))
    assert picture.figures["perplexity"] == pytest.approx(1.0)


def test_indices_beyond_the_codebook_and_no_codebook_are_refused(
    coded: Callable[..., Subject], subject_of: SubjectOf, images_of: ImagesOf
) -> None:
    with pytest.raises(BackendError, match="indices from 4 to 4 of a codebook of 4"):
        draw("codebook", coded(np.full((2, 2, 2), 4), 4))
    with pytest.raises(PictureError, match="The model of 'tiny' has no codebook"):
        draw("codebook", subject_of(images_of(2)))
