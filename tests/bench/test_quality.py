"""What a reconstruction loses: decibels against the original images, beside the reference's."""

from __future__ import annotations

import numpy as np
import pytest

from aedeploy.bench.quality import compare

RANDOM = np.random.default_rng(0)
ORIGINAL = RANDOM.random((4, 1, 8, 8), dtype=np.float32)
REFERENCE = np.clip(ORIGINAL + RANDOM.normal(0, 0.05, ORIGINAL.shape), 0, 1).astype(np.float32)


def test_the_same_loses_nothing() -> None:
    found = compare(ORIGINAL, REFERENCE, REFERENCE)
    assert (found.max_error, found.psnr_lost) == (0.0, 0.0)


def test_twice_the_error_is_six_decibels() -> None:
    twice = ORIGINAL + 2 * (REFERENCE - ORIGINAL)
    found = compare(ORIGINAL, REFERENCE, twice)
    assert found.psnr_lost == pytest.approx(20 * np.log10(2), abs=1e-3)
    assert found.max_error == pytest.approx(np.abs(REFERENCE - ORIGINAL).max(), rel=1e-5)


def test_less_error_than_the_reference_is_a_gain() -> None:
    found = compare(ORIGINAL, REFERENCE, (ORIGINAL + REFERENCE) / 2)
    assert found.psnr_lost == pytest.approx(-20 * np.log10(2), abs=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_cannot_be_told(value: float) -> None:
    broken = REFERENCE.copy()
    broken[0, 0, 0, 0] = value
    for reference, candidate in ((REFERENCE, broken), (broken, REFERENCE)):
        found = compare(ORIGINAL, reference, candidate)
        assert (found.max_error, found.psnr_lost) == (None, None)


def test_a_perfect_reference_has_no_decibels_to_lose_from() -> None:
    assert compare(ORIGINAL, ORIGINAL, REFERENCE).psnr_lost is None
    assert compare(ORIGINAL, ORIGINAL, ORIGINAL).psnr_lost == 0.0
    assert compare(ORIGINAL, REFERENCE, REFERENCE[:, :, :4]).max_error is None
