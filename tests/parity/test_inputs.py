"""What the graphs are fed."""

from __future__ import annotations

import numpy as np

from aedeploy.bundle import ImageContract, NoiseContract
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


class TestToldTheNoise:
    CASES = list(image_cases(contract(dynamic=True), SAMPLES, NoiseContract(maximum=55.0)))

    def test_every_case_has_a_map_of_its_size_within_the_range(self) -> None:
        for case in self.CASES:
            sigma = case.inputs["sigma"]
            assert sigma.dtype == np.float32
            assert sigma.shape == (case.batch, 1, *case.images_BCHW.shape[2:])
            assert 0.0 <= sigma.min() <= sigma.max() <= 55.0

    def test_maps_are_of_one_level_and_of_many(self) -> None:
        for case in self.CASES:
            assert case.sigma_B1HW is not None
            levels = [len(np.unique(one)) for one in case.sigma_B1HW]
            assert case.batch == 1 or max(levels) > 20
            # No two turns of it are the same.
            for one in case.sigma_B1HW[np.array(levels) > 1]:
                assert (np.diff(one[0], axis=0) > 0).all()
                assert (np.diff(one[0], axis=1) > 0).all()

    def test_real_images_have_the_noise_that_is_told_of(self) -> None:
        samples = np.full((64, 32, 48, 1), 128, np.uint8)
        grey = ImageContract(channels=1, mode="L", height=32, width=48, dynamic_size=False)
        case = next(
            c for c in image_cases(grey, samples, NoiseContract(maximum=55.0)) if c.kind == "real" and c.batch == 64
        )
        assert case.sigma_B1HW is not None
        noise = case.images_BCHW * 255 - 128
        told = case.sigma_B1HW.reshape(64, -1)
        even = told.min(1) == told.max(1)
        found = noise.reshape(64, -1).std(1)[even]
        np.testing.assert_allclose(found, told[even, 0], rtol=0.1, atol=0.5)
        assert np.corrcoef(np.abs(noise[~even]).ravel(), told[~even].ravel())[0, 1] > 0.3

    def test_images_that_are_alike_are_told_the_same(self) -> None:
        for case in self.CASES:
            if case.repeats > 1:
                assert case.sigma_B1HW is not None
                assert len(np.unique(case.sigma_B1HW.reshape(case.batch, -1), axis=0)) == 1
