"""The figures of a comparison, against values worked out by hand, and what must fail."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aedeploy.parity.compare import compare
from aedeploy.parity.report import CaseResult, GraphResult, ParityReport
from aedeploy.parity.tolerances import FLOAT32


def image(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32).reshape(1, 1, 1, -1)


def test_equal_outputs_pass_with_zero_error_and_no_psnr() -> None:
    found = compare("image", image(0.0, 0.5, 1.0), image(0.0, 0.5, 1.0))
    assert found
    assert (found.max_abs, found.mean_abs, found.relative, found.psnr) == (0.0, 0.0, 0.0, None)
    assert found.cosine == pytest.approx(1.0)
    assert (found.changed_pixels, found.pixels) == (0, 3)


def test_figures_of_a_wrong_image() -> None:
    found = compare("reconstruction", image(0.0, 0.8), image(0.0, 1.0))
    assert not found
    assert found.max_abs == pytest.approx(0.2)
    assert found.mean_abs == pytest.approx(0.1)
    assert found.relative == pytest.approx(0.2)
    assert found.psnr == pytest.approx(-10 * math.log10(0.04 / 2), abs=1e-4)
    assert found.changed_pixels == 1
    assert found.reason is not None
    assert "2.00e-01" in found.reason
    assert "1.00e-05" in found.reason


def test_a_latent_is_judged_by_the_size_of_its_values() -> None:
    reference = np.array([[1000.0, 0.0]], dtype=np.float32)
    limit = FLOAT32.latent.limit(reference)
    assert limit == pytest.approx(1e-5 + 1e-5 * 1000)
    assert compare("latent", reference + np.float32(0.009), reference)
    assert not compare("latent", reference + np.float32(0.011), reference)


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        (image(0.5, math.nan), "NaN or infinity"),
        (image(0.5, math.inf), "NaN or infinity"),
        (image(0.5), "shape"),
        (image(0.5, 0.5).repeat(2, axis=0), "shape"),
        (image(0.5, 0.5).astype(np.float64), "dtype"),
    ],
)
def test_malformed_outputs_fail_by_name(candidate: np.ndarray, reason: str) -> None:
    found = compare("image", candidate, image(0.5, 0.5))
    assert not found
    assert found.reason is not None
    assert reason in found.reason


def test_nan_on_both_sides_is_no_agreement() -> None:
    both = image(0.5, math.nan)
    found = compare("image", both, both.copy())
    assert not found
    assert found.reason is not None
    assert "PyTorch itself" in found.reason


def _graph(*outputs: tuple[str, np.ndarray, np.ndarray]) -> GraphResult:
    case = CaseResult(kind="real", batch=1, size="1x2", outputs=tuple(compare(*output) for output in outputs))
    return GraphResult(role="decoder", format="onnx", backend="onnxruntime", cases=(case,))


def test_too_many_changed_bytes_fail_although_every_error_is_small() -> None:
    # Every value lies just above the edge between two bytes, and comes out just below it.
    edge = np.full((1, 1, 1, 100), (100.5 + 1e-4) / 255, dtype=np.float32)
    graph = _graph(("image", edge - np.float32(2e-6), edge))
    assert all(graph.cases)
    assert graph.changed_share == 1.0
    assert not graph
    assert graph.reason is not None
    assert "8-bit pixels" in graph.reason


def test_a_graph_that_failed_says_where_and_by_how_much() -> None:
    graph = _graph(("image", image(0.0, 0.8), image(0.0, 1.0)))
    assert graph.reason == "image on real images, batch 1, 1x2: max error 2.00e-01 is above the tolerance 1.00e-05"


def test_a_report_of_nothing_has_not_passed() -> None:
    assert not ParityReport(bundle="b", reference="eager", graphs=())
    assert not GraphResult(role="encoder", format="onnx", backend="onnxruntime", cases=())


def test_the_worst_case_is_the_one_nearest_to_its_own_limit() -> None:
    small = (np.array([[1.0]], np.float32), np.array([[1.0 + 1.5e-5]], np.float32))
    large = (np.array([[1000.0]], np.float32), np.array([[1000.001]], np.float32))
    graph = _graph(("latent", *small), ("latent", *large))
    (worst,) = graph.worst()
    assert worst.max_abs == pytest.approx(1.5e-5, rel=0.02)
