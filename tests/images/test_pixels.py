from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aedeploy.images.pixels import to_bytes, to_floats, to_words

BYTES = np.arange(256, dtype=np.uint8)


def test_a_byte_is_itself_divided_by_255() -> None:
    floats = to_floats(BYTES.reshape(1, 16, 16, 1))
    assert floats.dtype == np.float32
    assert (floats.ravel() == BYTES.astype(np.float32) / np.float32(255)).all()


def test_channels_come_first_and_memory_is_in_order() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    floats = to_floats(pixels)
    assert floats.shape == (2, 3, 4, 5)
    assert floats.flags["C_CONTIGUOUS"]
    assert (floats[1, 2] == to_floats(pixels[1:, :, :, 2:])[0, 0]).all()


@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3]), st.randoms())
def test_bytes_come_back(images: int, height: int, width: int, channels: int, random: object) -> None:
    seed = random.getrandbits(32)  # type: ignore[attr-defined]
    pixels = np.random.default_rng(seed).integers(0, 256, (images, height, width, channels), dtype=np.uint8)
    assert (to_bytes(to_floats(pixels)) == pixels).all()


def test_values_are_rounded_to_the_nearest_and_kept_in_range() -> None:
    values = np.array([-1.0, 0.0, 0.49 / 255, 0.51 / 255, 254.6 / 255, 1.0, 2.0], np.float32).reshape(1, 1, 1, 7)
    assert to_bytes(values).ravel().tolist() == [0, 0, 0, 1, 255, 255, 255]


def test_the_input_is_not_changed() -> None:
    values = np.full((1, 1, 2, 2), 0.5, np.float32)
    to_bytes(values)
    assert (values == 0.5).all()


@given(st.integers(1, 3), st.integers(1, 5), st.sampled_from([1, 3]), st.integers(0, 2**32 - 1))
def test_words_come_back(images: int, side: int, channels: int, seed: int) -> None:
    words = np.random.default_rng(seed).integers(0, 2**16, (images, side, side + 1, channels), np.uint16)
    floats = to_floats(words)
    assert floats.dtype == np.float32
    assert floats.max() <= 1
    assert (to_words(floats) == words).all()


def test_a_byte_and_its_word_are_the_same_value() -> None:
    words = BYTES.astype(np.uint16) * 257
    assert np.abs(to_floats(words.reshape(1, 16, 16, 1)) - to_floats(BYTES.reshape(1, 16, 16, 1))).max() <= 6e-8


def test_words_are_rounded_and_kept_in_range() -> None:
    values = np.array([-1.0, 0.49 / 65535, 0.51 / 65535, 1.0, 2.0], np.float32).reshape(1, 1, 1, 5)
    words = to_words(values)
    assert words.dtype == np.uint16
    assert words.ravel().tolist() == [0, 0, 1, 65535, 65535]
