"""KL and active units, codebooks, sparsity: by hand."""

from __future__ import annotations

from math import e, log, log2

import numpy as np
import pytest

from aedeploy.errors import BackendError
from aedeploy.evaluation.codebook import CodebookSums
from aedeploy.evaluation.gaussian import GaussianSums, posterior_sample
from aedeploy.evaluation.sparsity import SparsitySums


def floats(*rows: list[float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


def test_kl_active_units_and_elbo_by_hand() -> None:
    sums = GaussianSums(likelihood=True)
    # Three units: one that follows the image, one that costs as much without doing so, one that is the prior.
    sums.add(floats([1.0, 2.0, 0.0]), floats([0.0, 0.0, 0.0]))
    sums.add(floats([-1.0, 2.0, 0.0]), floats([1.0, 0.0, 0.0]))
    sums.add_likelihood(30.0)
    sums.add_likelihood(50.0)
    figures = sums.figures()
    first = (0.5 + 0.5 * (1 + e - 1 - 1)) / 2
    assert figures.kl_by_unit == pytest.approx((first, 2.0, 0.0), abs=1e-7)
    assert figures.kl_nats == pytest.approx(first + 2.0)
    assert (figures.units, figures.active_units, figures.active_units_kl) == (3, 1, 2)
    assert figures.reconstruction_nats == 40.0
    assert figures.elbo_nats == pytest.approx(-(40.0 + first + 2.0))


def test_a_unit_is_active_from_a_variance_of_a_hundredth() -> None:
    sums = GaussianSums(likelihood=False)
    # ±0.11 has a variance of 0.0121, ±0.09 one of 0.0081; half a square each of KL, below and above 0.01.
    sums.add(floats([0.11, 0.09, 0.2], [-0.11, -0.09, 0.2]), floats([0.0] * 3, [0.0] * 3))
    figures = sums.figures()
    assert (figures.active_units, figures.active_units_kl) == (1, 1)
    assert (figures.elbo_nats, figures.reconstruction_nats) == (None, None)


def test_a_spatial_latent_has_a_unit_a_channel() -> None:
    mean = np.zeros((2, 2, 3, 3), dtype=np.float32)
    mean[0, 1], mean[1, 1] = 1.0, -1.0
    sums = GaussianSums(likelihood=False)
    sums.add(mean, np.zeros_like(mean))
    assert sums.figures().kl_by_unit == pytest.approx((0.0, 4.5))
    assert sums.figures().active_units == 1


def test_a_variance_beyond_all_bounds_has_no_kl() -> None:
    sums = GaussianSums(likelihood=True)
    sums.add(floats([0.0, 0.0]), floats([2000.0, 0.0]))
    sums.add_likelihood(float("nan"))
    figures = sums.figures()
    assert (figures.kl_nats, figures.kl_by_unit) == (None, (None, 0.0))
    assert (figures.elbo_nats, figures.reconstruction_nats) == (None, None)


def test_a_sample_has_the_posteriors_mean_and_deviation() -> None:
    sample = posterior_sample(floats([1.0, -2.0]), floats([log(4.0), log(0.25)]), floats([0.5, 2.0]))
    assert sample.dtype == np.float32
    np.testing.assert_allclose(sample, [[2.0, -1.0]], rtol=1e-6)


def test_a_codebook_by_hand() -> None:
    sums = CodebookSums(8)
    sums.add(np.array([[[0, 0], [1, 1]]]))
    sums.add(np.array([[[0, 0], [2, 3]]]))
    figures = sums.figures()
    entropy = -(0.5 * log(0.5) + 0.25 * log(0.25) + 2 * 0.125 * log(0.125))
    assert (figures.size, figures.used, figures.used_share, figures.indices) == (8, 4, 0.5, 4)
    assert figures.perplexity == pytest.approx(np.exp(entropy))
    assert figures.bits == pytest.approx(4 * 3)
    assert figures.entropy_bits == pytest.approx(4 * entropy / log(2))


def test_all_entries_alike_have_the_perplexity_of_their_number() -> None:
    sums = CodebookSums(7)
    sums.add(np.arange(7).reshape(1, 7))
    figures = sums.figures()
    assert figures.perplexity == pytest.approx(7.0)
    assert figures.entropy_bits == pytest.approx(figures.bits)
    assert figures.bits == pytest.approx(7 * log2(7))


def test_a_codebook_beyond_any_memory_is_counted() -> None:
    sums = CodebookSums(2**62)
    sums.add(np.array([[0, 2**62 - 1]]))
    assert sums.figures().used_share == 2**-61
    assert sums.figures().bits == pytest.approx(124)


@pytest.mark.parametrize("indices", [[0, 8], [-1, 3]])
def test_an_index_of_no_entry_is_refused(indices: list[int]) -> None:
    with pytest.raises(BackendError, match=r"indices from -?\d to \d of a codebook of 8"):
        CodebookSums(8).add(np.array([indices]))


def test_sparsity_by_hand() -> None:
    sums = SparsitySums()
    sums.add(floats([0.0, 3.0, 0.0, 0.0]))
    sums.add(floats([1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 0.0, 6.0]))
    figures = sums.figures()
    assert figures is not None
    assert figures.zeros == pytest.approx(8 / 12)
    assert figures.l0 == pytest.approx(4 / 3)
    assert figures.mean_activation == pytest.approx(1.0)
    assert (figures.units, figures.dead_units) == (4, 1)


def test_a_spatial_unit_is_dead_when_all_its_places_are() -> None:
    latent = np.zeros((2, 3, 2, 2), dtype=np.float32)
    latent[1, 0, 1, 1] = -1.0
    sums = SparsitySums()
    sums.add(latent)
    figures = sums.figures()
    assert figures is not None
    assert (figures.units, figures.dead_units, figures.l0) == (3, 2, 0.5)


@pytest.mark.parametrize(
    ("latent", "sparse"),
    [([0.5, -0.5], False), ([0.5, 0.1], True), ([0.0, -0.5], True)],
    ids=["both signs", "non-negative", "zeros"],
)
def test_latents_tell_by_themselves_whether_they_are_sparse(latent: list[float], sparse: bool) -> None:
    sums = SparsitySums()
    sums.add(floats(latent))
    assert (sums.figures() is not None) is sparse
