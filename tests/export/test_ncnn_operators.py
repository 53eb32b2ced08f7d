"""What PyTorch has and ncnn has not gives the same in ncnn's operators, bit by bit but for a softplus."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from aedeploy.export.formats._ncnn_operators import NcnnOperators, constants_as_floats

Outputs = Tensor | tuple[Tensor, ...]


def assert_the_same(function: Callable[[], Outputs], limit: float = 0.0) -> None:
    """That a function gives the same in ncnn's operators, in floats."""
    want = function()
    with NcnnOperators():
        got = function()
    wanted, given = (each if isinstance(each, tuple) else (each,) for each in (want, got))
    assert len(wanted) == len(given)
    for one, other in zip(wanted, given, strict=True):
        assert other.dtype == torch.float32
        torch.testing.assert_close(other, one.float(), rtol=limit, atol=0.0)


def tensors(distinct: bool) -> st.SearchStrategy[Tensor]:
    """[2, 6, h, w] of any numbers, or of few, so that there are ties."""

    def made(seed: int, height: int, width: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        shape = (2, 6, height, width)
        if distinct:
            return torch.randn(shape, generator=generator)
        return torch.randint(-2, 3, shape, generator=generator).float()

    return st.builds(made, st.integers(0, 2**31), st.integers(3, 4), st.integers(3, 5))


few = settings(max_examples=20, deadline=None)


class TestOperators:
    @few
    @given(tensors(distinct=False), st.integers(1, 3), st.booleans())
    def test_the_first_of_the_least_and_of_the_largest(self, x: Tensor, dim: int, keepdim: bool) -> None:
        assert_the_same(lambda: x.argmin(dim, keepdim))
        assert_the_same(lambda: torch.argmax(x, dim=dim, keepdim=keepdim))

    @few
    @given(tensors(distinct=True), st.integers(1, 3), st.integers(1, 3), st.booleans())
    def test_the_k_largest_and_where_they_belong(self, x: Tensor, dim: int, k: int, largest: bool) -> None:
        def kept() -> Tensor:
            values, at = torch.topk(x, k, dim)
            return torch.ones_like(x).scatter(dim, at, values)

        assert_the_same(lambda: x.topk(k, dim, largest))
        assert_the_same(kept)

    @few
    @given(tensors(distinct=False), st.integers(1, 5))
    def test_of_equals_exactly_k_are_taken(self, x: Tensor, k: int) -> None:
        assert_the_same(lambda: x.topk(k, 1).values)
        with NcnnOperators():
            at = x.topk(k, 1).indices
        assert all(len(set(row.tolist())) == k for row in at.movedim(1, -1).flatten(0, 2))

    @few
    @given(tensors(distinct=False), st.sampled_from([0.0, 1.0, 0.5]))
    def test_comparisons_and_what_they_choose(self, x: Tensor, bound: float) -> None:
        for chosen in (
            lambda: x > bound,
            lambda: x >= bound,
            lambda: x < bound,
            lambda: x <= bound,
            lambda: x == bound,
            lambda: torch.ne(x, bound),
            lambda: bound < x,
        ):
            assert_the_same(chosen)
            assert_the_same(lambda chosen=chosen: torch.where(chosen(), x, 0.0))  # type: ignore[misc]
            assert_the_same(lambda chosen=chosen: x.where(chosen(), -x))  # type: ignore[misc]

    @few
    @given(tensors(distinct=True), st.integers(1, 3), st.integers(-3, -1))
    def test_axes_and_casts(self, x: Tensor, one: int, other: int) -> None:
        assert_the_same(lambda: x.movedim(one, other))
        assert_the_same(lambda: x.mT)
        assert_the_same(lambda: (x * 3).long())
        assert_the_same(lambda: (x.abs() * 3).to(torch.uint8).float())

    @few
    @given(st.lists(st.integers(0, 8), min_size=1, max_size=6))
    def test_rows_of_a_codebook_come_out_to_the_last_bit(self, indices: list[int]) -> None:
        codebook = torch.randn(9, 5, generator=torch.Generator().manual_seed(0)) * 1e3
        at = torch.tensor([indices])
        assert torch.equal(_in_floats(lambda: functional.embedding(at, codebook)), codebook[at])

    def test_numbers_as_near_as_can_be_are_told_apart(self) -> None:
        x = torch.tensor([[1.0, float(np.nextafter(np.float32(1.0), np.float32(2.0))), 1.0, 1e-30, 0.0, -1e-30]])
        assert_the_same(lambda: x.argmax(1))
        assert_the_same(lambda: x > 0.0)
        assert_the_same(lambda: x == 1.0)

    @pytest.mark.parametrize("beta", [1.0, 2.0])
    def test_a_softplus_far_below_zero_is_exact(self, beta: float) -> None:
        x = torch.linspace(-80 / beta, 60 / beta, 2001)
        want = functional.softplus(x.double(), beta, threshold=100.0)
        got = _in_floats(lambda: functional.softplus(x, beta))
        torch.testing.assert_close(got.double(), want, rtol=3e-7, atol=0.0)

    def test_a_choice_over_images_is_refused(self) -> None:
        with NcnnOperators(), pytest.raises(NotImplementedError, match="no meaning by image"):
            torch.zeros(2, 3).argmin()

    def test_constants_become_floats_and_nothing_else_does(self) -> None:
        module = nn.BatchNorm2d(2)
        module.register_buffer("flag", torch.tensor(True))
        constants_as_floats(module)
        assert module.num_batches_tracked is not None
        assert module.num_batches_tracked.dtype == torch.float32
        assert module.flag.dtype == torch.bool


def _in_floats(function: Callable[[], Tensor]) -> Tensor:
    with NcnnOperators():
        return function()
