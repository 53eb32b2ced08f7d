"""The verdict on a graph, from the comparisons of its cases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aedeploy.parity.compare import Comparison, compare
from aedeploy.parity.report import CaseResult, GraphResult
from aedeploy.parity.tolerances import FLOAT32


def image_with(changed: int, images: int = 1) -> Comparison:
    """1,000 pixels an image, of which some lie on the edge between two bytes and come out on its other side."""
    reference = np.full((images, 1, 10, 100), 0.4, np.float32)
    reference.reshape(images, -1)[:, :changed] = np.float32(0.5 / 255) + np.float32(1e-7)
    candidate = reference.copy()
    candidate.reshape(images, -1)[:, :changed] -= np.float32(4e-7)
    return compare("image", candidate, reference)


def graph(*cases: CaseResult) -> GraphResult:
    return GraphResult(role="decoder", format="onnx", backend="onnxruntime", cases=cases)


def case(changed: int, batch: int, repeats: int = 1) -> CaseResult:
    return CaseResult(kind="white", batch=batch, size="10x100", repeats=repeats, outputs=(image_with(changed, batch),))


def test_a_pixel_on_an_edge_counts_once_however_often_a_batch_repeats_its_image() -> None:
    many = [case(0, 20)]
    assert graph(*many, case(1, 64, repeats=64)).changed_share == pytest.approx(1 / 21_000)
    assert graph(*many, case(1, 64, repeats=64))
    counted = graph(*many, replace(case(1, 64), repeats=1))
    assert counted.changed_share == pytest.approx(64 / 84_000)
    assert not counted
    assert f"above {FLOAT32.changed_pixels:.2%}" in (counted.reason or "")


def test_too_many_changed_pixels_fail_although_every_error_is_small() -> None:
    found = graph(case(2, 10))
    assert all(found.cases)
    assert not found
    assert found.changed_share == pytest.approx(2e-3)
