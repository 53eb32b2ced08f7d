"""What does not fit a graph is refused before an engine turns it into something else."""

from __future__ import annotations

import numpy as np
import pytest

from aedeploy.bundle import TensorSpec
from aedeploy.errors import BackendError
from aedeploy.runtime.runner import RunnerLifetime, check_inputs

IMAGE = TensorSpec(name="image", dtype="float32", shape=("batch", 1, 28, 28))
LATENT = TensorSpec(name="latent", dtype="float32", shape=("batch", 2, "latent_height", "latent_width"))


@pytest.mark.parametrize("batch", [0, 1, 7])
def test_what_fits_is_taken(batch: int) -> None:
    check_inputs((IMAGE,), {"image": np.zeros((batch, 1, 28, 28), np.float32)})
    check_inputs((LATENT,), {"latent": np.zeros((batch, 2, 3, 5), np.float32)})


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((1, 28, 28), "float32"),
        ((1, 1, 28, 29), "float32"),
        ((1, 28, 28, 1), "float32"),
        ((1, 3, 28, 28), "float32"),
        ((1, 1, 1, 28, 28), "float32"),
        ((), "float32"),
        ((1, 1, 28, 28), "float64"),
        ((1, 1, 28, 28), "uint8"),
        ((1, 1, 28, 28), ">f4"),
    ],
)
def test_another_shape_or_dtype_is_refused_with_both(shape: tuple[int, ...], dtype: str) -> None:
    with pytest.raises(BackendError) as caught:
        check_inputs((IMAGE,), {"image": np.zeros(shape, dtype)})
    assert "'image' must be float32 ['batch', 1, 28, 28]" in str(caught.value)
    assert f"and is {np.dtype(dtype)} {list(shape)}" in str(caught.value)


@pytest.mark.parametrize("names", [[], ["latent"], ["image", "mask"]])
def test_other_names_are_refused_with_both(names: list[str]) -> None:
    with pytest.raises(BackendError, match=rf"takes image, and was given {', '.join(names) or 'nothing'}\."):
        check_inputs((IMAGE,), {name: np.zeros((1, 1, 28, 28), np.float32) for name in names})


def test_a_runner_is_closed_at_the_end_of_its_block() -> None:
    class Runner(RunnerLifetime):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    def fail_within(runner: Runner) -> None:
        with runner as entered:
            assert entered is runner
            assert not runner.closed
            raise KeyError

    runner = Runner()
    with pytest.raises(KeyError):
        fail_within(runner)
    assert runner.closed == 1
