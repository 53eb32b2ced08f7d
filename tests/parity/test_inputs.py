"""What the graphs are fed."""

from __future__ import annotations

import numpy as np

from aedeploy.bundle import ImageContract
from aedeploy.parity.inputs import BATCHES, KINDS, image_cases, latents_like


def contract(dynamic: bool) -> ImageContract:
    return ImageContract(channels=3, mode="RGB", height=8, width=12, dynamic_size=dynamic, multiple_of=4, minimum=4)


SAMPLES = np.random.default_rng(0).integers(0, 256, (5, 8, 12, 3), dtype=np.uint8)


def test_every_kind_comes_at_every_batch_size_within_the_range() -> None:
    cases = list(image_cases(contract(dynamic=False), SAMPLES))
    assert {(c.kind, c.batch) for c in cases} == {(kind, batch) for kind in KINDS for batch in BATCHES}
    for case in cases:
        assert case.images_BCHW.dtype == np.float32
        assert case.images_BCHW.shape == (case.batch, 3, 8, 12)
        assert 0.0 <= case.images_BCHW.min() <= case.images_BCHW.max() <= 1.0


def test_real_images_are_the_samples_as_they_are() -> None:
    real = next(c for c in image_cases(contract(dynamic=False), SAMPLES) if c.kind == "real" and c.batch == 7)
    bytes_NHWC = np.rint(real.images_BCHW * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(bytes_NHWC, SAMPLES[[0, 1, 2, 3, 4, 0, 1]])


def test_extremes_are_what_they_are_called() -> None:
    by_kind = {c.kind: c.images_BCHW for c in image_cases(contract(dynamic=False), SAMPLES) if c.batch == 2}
    assert by_kind["black"].max() == 0.0
    assert by_kind["white"].min() == 1.0
    assert np.unique(by_kind["constant"]).tolist() == [np.float32(128) / np.float32(255)]
    board = by_kind["checkerboard"][0, 0]
    assert np.abs(np.diff(board, axis=0)).min() == np.abs(np.diff(board, axis=1)).min() == 1.0
    assert len(np.unique(by_kind["noise"])) > 200


def test_a_dynamic_size_is_tried_at_other_sizes_that_its_rule_allows() -> None:
    fixed = {c.size for c in image_cases(contract(dynamic=False), SAMPLES)}
    dynamic = {c.images_BCHW.shape[2:] for c in image_cases(contract(dynamic=True), SAMPLES)}
    assert fixed == {"8x12"}
    assert len(dynamic) == 3
    assert all(height % 4 == 0 and width % 4 == 0 for height, width in dynamic)


def test_latents_beyond_the_data_are_wider_and_of_the_batch_asked_for() -> None:
    latents = np.random.default_rng(1).normal(3.0, 0.5, (64, 16)).astype(np.float32)
    wide = latents_like(latents, 7, 2.0)
    assert wide.shape == (7, 16)
    assert wide.dtype == np.float32
    assert wide.std() > 1.5 * latents.std()


def test_only_constants_repeat_their_images() -> None:
    samples = np.random.default_rng(0).integers(0, 256, (64, 8, 12, 3), dtype=np.uint8)
    for case in image_cases(contract(dynamic=False), samples):
        distinct = len(np.unique(case.images_BCHW.reshape(case.batch, -1), axis=0))
        assert distinct == case.batch / case.repeats, case.kind
