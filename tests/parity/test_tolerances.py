"""The table of tolerances, and what may be asked for in its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aedeploy.errors import ConfigError, UnknownNameError
from aedeploy.parity.compare import compare
from aedeploy.parity.overall import overall
from aedeploy.parity.tolerances import (
    BY_FORMAT,
    FLOAT32,
    OVERRIDES,
    REAL,
    Tolerance,
    check_overrides,
    describe_overrides,
    overrides_of,
    parse_tolerances,
    tolerances_of,
)
from aedeploy.runtime.open import backend_names, load_named


def formats() -> list[str]:
    return [f for name in backend_names() for f in load_named("aedeploy.runtime.backends", name, "backend").FORMATS]


@pytest.mark.parametrize("format", formats())
def test_every_format_bounds_every_output(format: str) -> None:
    row = tolerances_of(format)
    for kind in ("image", "latent", "logvar"):
        bound = row.of(kind)
        assert any(value is not None for value in (bound.absolute, bound.norm, bound.psnr))
    assert row.judges("real")
    assert row.judges("golden")
    assert row.judges("files")
    assert 0 < row.gap < 1
    assert 0 < row.decisions < 1


def test_only_formats_of_less_precision_have_rows_of_their_own() -> None:
    assert set(BY_FORMAT) == {"onnx-fp16", "onnx-int8"}
    assert {format for format in formats() if tolerances_of(format) == FLOAT32} == set(formats()) - set(BY_FORMAT)
    assert BY_FORMAT["onnx-int8"].image.psnr == 35.0
    assert not BY_FORMAT["onnx-int8"].judges("noise")


def test_options_are_read_by_format_and_kind() -> None:
    options = parse_tolerances(["latent=1e-4", "onnx-int8:psnr=30", "changed-pixels=0.01"])
    assert options == {"latent": 1e-4, "onnx-int8:psnr": 30.0, "changed-pixels": 0.01}
    assert overrides_of("onnx", options) == {"latent": 1e-4, "changed-pixels": 0.01}
    assert overrides_of("onnx-int8", options) == {"latent": 1e-4, "changed-pixels": 0.01, "psnr": 30.0}
    # One for a format comes before one for all.
    assert overrides_of("onnx", {"latent": 1.0, "onnx:latent": 2.0}) == {"latent": 2.0}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("image", {"image": Tolerance(absolute=0.5)}),
        ("latent", {"latent": Tolerance(absolute=0.5, relative=0.5)}),
        ("logvar", {"logvar": Tolerance(absolute=0.5, relative=0.5)}),
        ("psnr", {"image": Tolerance(absolute=1e-5, psnr=0.5)}),
        ("norm", {"latent": Tolerance(absolute=1e-5, relative=1e-5, norm=0.5)}),
        ("changed-pixels", {"changed_pixels": 0.5}),
        ("decisions", {"decisions": 0.5}),
        ("gap", {"gap": 0.5}),
    ],
)
def test_an_override_changes_its_own_bound_only(kind: str, expected: dict[str, Any]) -> None:
    assert kind in OVERRIDES
    changed = tolerances_of("onnx", {kind: 0.5}).as_dict()
    usual = FLOAT32.as_dict()
    (name, value) = next(iter(expected.items()))
    assert changed[name] == (value if isinstance(value, float) else vars(value))
    also = {"logvar"} if kind == "norm" else set()
    assert {key for key in usual if usual[key] != changed[key]} == {name} | also


def test_every_kind_of_override_is_tried_above() -> None:
    assert len(OVERRIDES) == 8


@pytest.mark.parametrize(
    ("option", "error", "says"),
    [
        ("latent", ConfigError, "KIND=VALUE"),
        ("latent=", ConfigError, "KIND=VALUE"),
        ("latent=much", ConfigError, "KIND=VALUE"),
        ("latent=-1", ConfigError, "KIND=VALUE"),
        ("latent=nan", ConfigError, "KIND=VALUE"),
        ("latent=inf", ConfigError, "KIND=VALUE"),
        ("latnet=1e-4", UnknownNameError, "did you mean 'latent'"),
        ("onxn:latent=1e-4", UnknownNameError, "did you mean 'onnx'"),
    ],
)
def test_a_wrong_option_is_refused_by_name(option: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        parse_tolerances([option])


def test_an_override_that_changes_nothing_is_refused() -> None:
    check_overrides({"onnx:latent": 1.0, "image": 1.0}, ["onnx", "torchscript"])
    with pytest.raises(ConfigError, match="no openvino graph is checked here, only onnx, torchscript"):
        check_overrides({"openvino:latent": 1.0}, ["onnx", "torchscript"])
    with pytest.raises(UnknownNameError):
        check_overrides({"depth": 1.0}, ["onnx"])


def test_what_is_not_usual_is_said_beside_the_usual() -> None:
    said = describe_overrides({"latent": 1e-4, "onnx-int8:psnr": 30.0}, ["onnx", "onnx-int8"])
    assert said == ("latent = 0.0001 (usually 1e-05 + 1e-05 × peak or no bound); onnx-int8:psnr = 30 (usually 35)")
    assert describe_overrides({}, ["onnx"]) == ""


def test_of_two_graphs_in_a_row_the_looser_judges() -> None:
    int8 = BY_FORMAT["onnx-int8"]
    both = FLOAT32.looser(int8)
    assert both == int8.looser(FLOAT32)
    # Had one no bound of a kind and the other none of another, nothing would be judged.
    assert both.image == int8.image
    assert both.latent == int8.latent
    assert set(both.judged or ()) == set(REAL)
    assert both.gap == int8.gap
    assert FLOAT32.looser(FLOAT32) == FLOAT32
    half = BY_FORMAT["onnx-fp16"]
    assert half.looser(int8).image == int8.image
    assert FLOAT32.looser(half).image == half.image
    assert FLOAT32.looser(half).elsewhere == half.elsewhere
    assert int8.looser(int8) == int8


def test_on_extremes_a_quantised_graph_need_only_give_numbers() -> None:
    image = np.zeros((1, 1, 2, 2), np.float32)
    anything = BY_FORMAT["onnx-int8"].on("noise")
    assert compare("image", image + 1, image, tolerances=anything)
    assert not compare("image", image * np.float32("nan"), image, tolerances=anything)
    assert not compare("image", image[:, :, :1], image, tolerances=anything)
    assert BY_FORMAT["onnx-int8"].on("real") is BY_FORMAT["onnx-int8"]
    half = BY_FORMAT["onnx-fp16"].on("noise")
    assert half.image.absolute == BY_FORMAT["onnx-fp16"].elsewhere
    assert not compare("image", image + 1, image, tolerances=half)


@pytest.mark.parametrize(("absolute", "steps"), [(1e-5, 1), (0.9 / 255, 1), (1.1 / 255, 2), (5e-3, 2)])
def test_bytes_may_be_a_step_further_apart_than_the_values_behind_them(absolute: float, steps: int) -> None:
    allowed = tolerances_of("onnx", {"image": absolute})
    wanted = np.full((1, 2, 2, 1), 100, np.uint8)
    found = compare("image", wanted + np.uint8(steps), wanted, tolerances=allowed)
    assert found
    assert found.limit == pytest.approx(steps / 255)
    assert not compare("image", wanted + np.uint8(steps + 1), wanted, tolerances=allowed)


# ---- over all calls


def image_off_by(error: float, size: int = 100) -> Any:
    wanted = np.full((1, 1, 1, size), 0.4, np.float32)
    return compare("image", wanted + np.float32(error), wanted, tolerances=BY_FORMAT["onnx-int8"])


def test_psnr_is_of_all_calls_together() -> None:
    int8 = BY_FORMAT["onnx-int8"]
    bad, good = image_off_by(0.02), image_off_by(0.005)
    assert overall("image", [(bad, 1)]).psnr == pytest.approx(33.98, abs=0.01)
    assert "34.0 dB over all inputs is below the tolerance 35.0 dB" in (
        overall("image", [(bad, 1)]).problem(int8) or ""
    )
    assert overall("image", [(bad, 1), (good, 1)]).problem(int8) is None
    # Of few images twice the squared error may be: 3 dB.
    assert overall("image", [(bad, 1)]).problem(int8, few=True) is None
    assert overall("image", [(image_off_by(0.03), 1)]).problem(int8, few=True) is not None
    assert overall("image", [(image_off_by(0.0), 1)]).psnr == np.inf


def test_relative_l2_is_of_all_calls_together() -> None:
    wanted = np.array([[3.0, 4.0]], np.float32)
    int8 = BY_FORMAT["onnx-int8"]
    off = compare("latent", wanted * np.float32(1.2), wanted, tolerances=int8)
    exact = compare("latent", wanted * 3, wanted * 3, tolerances=int8)
    assert off
    assert overall("latent", [(off, 1)]).relative == pytest.approx(0.2)
    assert "relative L2 of 2.0e-01" in (overall("latent", [(off, 1)]).problem(int8) or "")
    assert overall("latent", [(off, 1), (exact, 1)]).relative == pytest.approx(0.2 / 10**0.5)
    assert overall("latent", [(off, 1), (exact, 1)]).problem(int8) is None
    assert overall("latent", [(off, 1)]).psnr is None


def test_two_pixels_may_change_whatever_their_share() -> None:
    edge = np.full((1, 1, 1, 100), 0.4, np.float32)
    for pixels, fails in ((2, False), (3, True)):
        wanted = edge.copy()
        wanted[..., :pixels] = np.float32(0.5 / 255) + np.float32(1e-7)
        got = wanted.copy()
        got[..., :pixels] -= np.float32(4e-7)
        found = overall("image", [(compare("image", got, wanted), 1)])
        assert found.changed == pixels
        assert (found.problem(FLOAT32) is not None) == fails
