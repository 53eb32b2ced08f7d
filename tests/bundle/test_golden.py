"""Golden vectors come back as they were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from safetensors.numpy import save_file

from aedeploy.bundle.golden import (
    INPUTS_OF_ROLE,
    MOST_SAMPLE_BYTES,
    MOST_SAMPLES,
    GoldenCase,
    load_golden,
    load_samples,
    save_golden,
)
from aedeploy.errors import IntegrityError

ARRAYS = npst.arrays(
    dtype=st.sampled_from([np.dtype("float32"), np.dtype("int64"), np.dtype("uint8")]),
    shape=npst.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4),
)
SAMPLES = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4, 1)
#: The names of outputs that roles have, and one with a slash in it.
OUTPUTS = st.dictionaries(st.sampled_from(["logvar", "indices", "reconstruction", "a/b"]), ARRAYS, max_size=3)


@st.composite
def golden_cases(draw: st.DrawFn) -> list[GoldenCase]:
    keys = draw(st.sets(st.tuples(st.sampled_from(sorted(INPUTS_OF_ROLE)), st.integers(0, 100)), max_size=4))
    return [
        GoldenCase(role=role, batch=batch, inputs=draw(_inputs(role)), outputs=draw(OUTPUTS))
        for role, batch in sorted(keys)
    ]


def _inputs(role: str) -> st.SearchStrategy[dict[str, np.ndarray]]:
    return st.dictionaries(st.sampled_from(sorted(INPUTS_OF_ROLE[role])), ARRAYS, min_size=1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cases=golden_cases())
def test_round_trip(tmp_path: Path, cases: list[GoldenCase]) -> None:
    path = tmp_path / "golden.safetensors"
    save_golden(path, cases, SAMPLES)
    back = {(case.role, case.batch): case for case in load_golden(path)}
    assert set(back) == {(case.role, case.batch) for case in cases}
    for case in cases:
        found = back[case.role, case.batch]
        for want, got in ((case.inputs, found.inputs), (case.outputs, found.outputs)):
            assert want.keys() == got.keys()
            for name, array in want.items():
                assert got[name].dtype == array.dtype
                np.testing.assert_array_equal(got[name], array)


def test_an_array_that_is_a_view_is_written_as_it_reads(tmp_path: Path) -> None:
    image = np.arange(12, dtype=np.float32).reshape(3, 4).T
    path = tmp_path / "golden.safetensors"
    save_golden(path, [GoldenCase(role="encoder", batch=1, inputs={"image": image}, outputs={})], SAMPLES)
    np.testing.assert_array_equal(load_golden(path)[0].inputs["image"], image)


@pytest.mark.parametrize("size", [4, 64, 512, 2048])
def test_samples_are_kept_as_many_as_fit(tmp_path: Path, size: int) -> None:
    samples = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    samples = np.concatenate([samples] * 30) if size == 4 else samples
    save_golden(tmp_path / "g.safetensors", [], samples)
    kept = load_samples(tmp_path / "g.safetensors")
    assert 1 <= len(kept) <= MOST_SAMPLES
    assert len(kept) == 1 or kept.nbytes <= MOST_SAMPLE_BYTES
    assert len(kept) == {4: MOST_SAMPLES, 64: 3, 512: 3, 2048: 1}[size]
    np.testing.assert_array_equal(kept, samples[: len(kept)])


@pytest.mark.parametrize(
    "name", ["image", "encoder/image", "encoder/x/image", "encoder/1/", "critic/1/image", "encoder/-1/z", "encoder/²/z"]
)
def test_a_tensor_by_another_rule_is_named(tmp_path: Path, name: str) -> None:
    save_file({name: np.zeros(1, np.float32)}, tmp_path / "g.safetensors")
    with pytest.raises(IntegrityError, match=f"'{name}'"):
        load_golden(tmp_path / "g.safetensors")


@pytest.mark.parametrize("content", [b"", b"x" * 7, b"\xff" * 100, b"\x10\0\0\0\0\0\0\0{}"])
def test_a_damaged_file_is_an_integrity_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "g.safetensors").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"g\.safetensors cannot be read"):
        load_golden(tmp_path / "g.safetensors")


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"samples": np.zeros((1, 4, 4, 1), np.float32)},
        {"samples": np.zeros((4, 4), np.uint8)},
        {"samples": np.zeros((0, 4, 4, 1), np.uint8)},
    ],
)
def test_a_file_without_samples_is_an_integrity_error(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    save_file(tensors, tmp_path / "g.safetensors")
    with pytest.raises(IntegrityError, match="holds no sample images"):
        load_samples(tmp_path / "g.safetensors")


def test_a_missing_file_is_an_integrity_error(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="cannot be read"):
        load_golden(tmp_path / "g.safetensors")
