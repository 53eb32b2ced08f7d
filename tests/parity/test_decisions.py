"""Indices and masks: what may fall otherwise in another engine, and what only looks like that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aedeploy.images.pixels import to_floats
from aedeploy.parity.compare import Comparison
from aedeploy.parity.decisions import OtherChoice, compare_all, rows_decided_otherwise
from aedeploy.parity.report import CaseResult, GraphResult
from aedeploy.parity.tolerances import FLOAT32

CODEBOOK = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], np.float32)


def floats(values: Any) -> np.ndarray:
    return np.array(values, np.float32)


def code(indices: np.ndarray) -> dict[str, np.ndarray]:
    """What an encoder gives for indices [batch, h, w]."""
    latent = np.moveaxis(CODEBOOK[indices], -1, 1)
    return {"latent": np.ascontiguousarray(latent), "indices": indices.astype(np.int64)}


def indices(batch: int, side: int = 7) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4, (batch, side, side))


def compared(candidate: dict[str, np.ndarray], reference: dict[str, np.ndarray]) -> dict[str, Comparison]:
    found = compare_all(candidate, reference, masked=False)
    assert [one.output for one in found] == list(reference)
    return {one.output: one for one in found}


def flipped(reference: np.ndarray, places: int) -> np.ndarray:
    """The same indices, but for the first ``places``."""
    other = reference.copy()
    other.flat[:places] = (other.flat[:places] + 1) % 4
    return other


@pytest.mark.parametrize(("batch", "places"), [(1, 1), (3, 1), (64, 3), (3, 0)])
def test_few_indices_may_be_others_and_the_latent_is_judged_where_they_agree(batch: int, places: int) -> None:
    reference = indices(batch)
    found = compared(code(flipped(reference, places)), code(reference))
    assert all(found.values())
    assert (found["indices"].otherwise, found["indices"].decisions) == (places, batch * 49)
    assert found["indices"].max_abs is None
    assert found["latent"].max_abs == 0.0


@pytest.mark.parametrize(("batch", "places"), [(1, 2), (3, 2), (64, 4)])
def test_more_of_them_fail(batch: int, places: int) -> None:
    assert places > max(1, FLOAT32.decisions * batch * 49)
    reference = indices(batch)
    found = compared(code(flipped(reference, places)), code(reference))
    assert found["latent"]
    assert not found["indices"]
    assert found["indices"].reason is not None
    assert f"{places} of {batch * 49} indices are others" in found["indices"].reason


def test_where_there_is_one_place_it_must_agree() -> None:
    reference = indices(1, side=1)
    assert not compared(code(flipped(reference, 1)), code(reference))["indices"]


def test_a_latent_that_is_not_its_index_fails() -> None:
    reference = code(indices(3))
    wrong = {**reference, "latent": reference["latent"].copy()}
    wrong["latent"][2, 1, 3, 3] += np.float32(1e-3)
    found = compared(wrong, reference)
    assert found["indices"]
    assert not found["latent"]


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [(indices(3).astype(np.int32), "dtype is int32"), (indices(3)[:1], "shape"), (indices(3)[:, None], "shape")],
)
def test_malformed_indices_fail_by_name(candidate: np.ndarray, reason: str) -> None:
    reference = code(indices(3))
    found = compared({**reference, "indices": candidate}, reference)
    assert not found["indices"]
    assert found["indices"].reason is not None
    assert reason in found["indices"].reason


# ---- masks


def masked(candidate: np.ndarray, reference: np.ndarray) -> Comparison:
    (found,) = compare_all({"latent": candidate}, {"latent": reference}, masked=True)
    return found


def largest(dense: np.ndarray, k: int) -> np.ndarray:
    """[batch, D] with the k largest of each row kept."""
    kept = np.argsort(-dense, axis=1)[:, :k]
    latent = np.zeros_like(dense)
    np.put_along_axis(latent, kept, np.take_along_axis(dense, kept, 1), 1)
    return latent


TIED = np.array([[9.0, 5.0, 5.0, 1.0], [8.0, 7.0, 2.0, 1.0]], np.float32)


def test_of_two_equals_either_may_be_kept() -> None:
    one, other = (TIED * floats(mask) for mask in ([[1, 1, 0, 0]] * 2, [[1, 0, 1, 0], [1, 1, 0, 0]]))
    found = masked(other, one)
    assert found
    assert (found.otherwise, found.decisions, found.max_abs) == (2, 8, 0.0)


def test_of_two_that_differ_only_one_is_right() -> None:
    one = TIED * floats([[1, 1, 0, 0]] * 2)
    other = TIED * floats([[1, 1, 0, 0], [1, 0, 1, 0]])
    found = masked(other, one)
    assert not found
    assert found.max_abs == 7.0


def test_a_kept_value_that_is_wrong_fails() -> None:
    one = TIED * floats([[1, 1, 0, 0]] * 2)
    assert not masked(one + floats([[0, 1e-2, 0, 0]] * 2), one)
    assert not masked(one * floats([[0, 1, 1, 1]] * 2), one)  # the largest of all is missing


@pytest.mark.parametrize("k", [7, 9])
@pytest.mark.parametrize("batch", [1, 3, 64])
def test_another_k_fails(batch: int, k: int) -> None:
    dense = np.random.default_rng(0).normal(size=(batch, 64)).astype(np.float32)
    found = masked(largest(dense, k), largest(dense, 8))
    # Of one image, the least entry kept may have been left out by a threshold: more images tell.
    assert bool(found) == (batch == 1)
    if batch == 1:
        assert found.otherwise == 1


@pytest.mark.parametrize("threshold", [1.01, 1.05, 0.99])
def test_another_threshold_fails(threshold: float) -> None:
    dense = np.random.default_rng(0).normal(size=(64, 128)).astype(np.float32)
    assert not masked(np.where(dense > threshold, dense, 0), np.where(dense > 1.0, dense, 0))


def test_a_value_on_the_threshold_may_be_kept_or_not() -> None:
    reference = np.array([[1.000001, 0.0, 3.0], [2.0, 0.0, 0.0]], np.float32)
    candidate = np.array([[0.0, 0.0, 3.0], [2.0, 0.0, 0.0]], np.float32)
    for one, other in ((reference, candidate), (candidate, reference)):
        found = masked(one, other)
        assert found
        assert found.otherwise == 1


def test_too_many_on_the_threshold_fail() -> None:
    reference = np.ones((64, 16), np.float32)
    candidate = reference.copy()
    candidate[:3, 0] = 0.0
    found = masked(candidate, reference)
    assert not found
    assert found.reason == "3 of 1024 entries are kept by one and not by the other, and no more than 2 may be"


def test_a_place_of_a_spatial_latent_has_its_own_mask() -> None:
    dense = np.random.default_rng(0).normal(size=(2, 8, 7, 7)).astype(np.float32)
    dense[0, 3, 2, 2], dense[0, 5, 2, 2] = 0.5, 0.5 + 1e-7
    dense[0, [0, 1, 2, 4, 6, 7], 2, 2] = [-1, -2, -3, -4, -5, -6]
    kept = (-dense).argsort(1, kind="stable")[:, :1]
    reference = np.where(np.arange(8)[None, :, None, None] == kept, dense, 0)
    candidate = reference.copy()
    candidate[0, :, 2, 2] = 0.0
    candidate[0, 3, 2, 2] = 0.5
    assert reference[0, 5, 2, 2] != 0.0
    found = masked(candidate, reference)
    assert found
    assert found.otherwise == 2


def test_without_a_mask_a_missing_value_fails_however_small() -> None:
    reference = np.array([[1.0, 0.1]], np.float32)
    (found,) = compare_all({"latent": reference * floats([1, 0])}, {"latent": reference}, masked=False)
    assert not found


# ---- what follows


def test_an_image_of_another_choice_is_held_against_what_comes_of_it() -> None:
    reference = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1)
    other = OtherChoice(rows=np.array([False, True, True, False]), images=floats([[[[10.0]]], [[[20.0]]]]))
    candidate = floats([[[[10.0]]], [[[10.0]]], [[[2.0]]], [[[10.0]]]])
    merged = other.expected({"image": candidate}, {"image": reference})["image"]
    # Of the second image the other choice; of the third the reference's own, which the candidate made; no others.
    assert merged.flatten().tolist() == [0.0, 10.0, 2.0, 3.0]


@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_an_image_of_another_choice_may_be_of_the_other_kind_of_pixels(kind: str) -> None:
    """Of two formats in a row one may give bytes, [H, W, C], and the other floats, [C, H, W]."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 1), dtype=np.uint8)
    black = np.zeros_like(pixels)
    own, reference = (to_floats(pixels[1:]), black) if kind == "uint8" else (pixels[1:], to_floats(black))
    candidate = pixels if kind == "uint8" else to_floats(pixels)
    merged = OtherChoice(rows=np.array([False, True]), images=own).expected({"image": candidate}, {"image": reference})
    assert merged["image"].dtype == np.dtype(kind)
    np.testing.assert_array_equal(merged["image"][1], candidate[1])
    np.testing.assert_array_equal(merged["image"][0], reference[0])


def test_a_candidate_of_another_shape_has_no_other_choice() -> None:
    reference = np.zeros((2, 1, 1, 1), np.float32)
    other = OtherChoice(rows=np.array([True, False]), images=np.ones((1, 1, 1, 1), np.float32))
    assert other.expected({"image": reference[:1]}, {"image": reference})["image"] is reference


def test_which_images_were_decided_otherwise() -> None:
    reference = indices(4)
    other = reference.copy()
    other[2, 0, 0] = (other[2, 0, 0] + 1) % 4
    assert rows_decided_otherwise(code(other), code(reference)).tolist() == [False, False, True, False]


def test_a_graph_adds_its_decisions_up() -> None:
    reference = indices(3)
    cases = [
        CaseResult(
            kind="real",
            batch=3,
            size="28x28",
            outputs=compare_all(code(flipped(reference, places)), code(reference), masked=False),
        )
        for places in (0, 1)
    ]
    graph = GraphResult(role="encoder", format="onnx", backend="onnxruntime", cases=tuple(cases))
    assert graph
    assert graph.decisions == (1, 2 * 147)
    found = graph.as_dict()
    assert (found["decided_otherwise"], found["decisions"]) == (1, 294)
    worst = {one.output: one for one in graph.worst()}
    assert worst["indices"].otherwise == 1
    assert GraphResult(role="decoder", format="onnx", backend="onnxruntime", cases=()).decisions is None
