"""A sweep: its lines, and PCA of each size as the evaluation has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_bundle import write_tiny_bundle

from aedeploy.errors import NothingToDoError, PictureError
from aedeploy.evaluation.images import ArrayImages, EvaluationImages, FileImages
from aedeploy.evaluation.pca import fit_components
from aedeploy.images.geometry import Geometry
from aedeploy.pictures import LIGHT, Picture, Subject, draw
from aedeploy.pictures.kinds.sweep import draw_sweep, is_sweep, lines_of, pca_curve
from aedeploy.pictures.theme import drawing

ImagesOf = Callable[..., np.ndarray]
GREY = Geometry(mode="L", height=8, width=8)
SIZE = "model.latent_dim"


def row(mse: float | None, latent: int | None = None, **values: Any) -> dict[str, Any]:
    named = {key.replace("__", "."): value for key, value in values.items()}
    test = {"psnr": 20.0} if mse is None else {"mse": mse}
    return {"point": "tiny", "values": named, "latent": latent, "test": test}


def results(rows: list[dict[str, Any]], **over: list[Any]) -> dict[str, Any]:
    named = {key.replace("__", "."): values for key, values in over.items()}
    return {"variant": "low-pass", "data": "patterns", "over": named, "results": rows}


@pytest.fixture
def sweep_of(tmp_path: Path) -> Callable[..., Picture]:
    """The picture of what a sweep wrote, text or values, in a folder with one bundle, and of images to fit PCA to."""

    def make(written: Any, pixels: np.ndarray | None = None) -> Picture:
        folder = tmp_path / "sweep"
        if not folder.exists():
            write_tiny_bundle(folder / "tiny")
        text = written if isinstance(written, str) else json.dumps(written)
        (folder / "results.json").write_text(text, encoding="utf-8")
        data = None
        if pixels is not None:
            data = str(tmp_path / "images.npz")
            np.savez(data, images=pixels)
        with drawing(LIGHT):
            return draw_sweep(folder, LIGHT, data=data)

    return make


def test_a_line_is_a_combination_of_the_rest_by_rising_values() -> None:
    rows = [
        row(0.3, a=4, b="x"),
        row(0.1, a=16, b="x"),
        row(0.2, a=8, b="x"),
        row(0.5, a=4, b="y"),
        row(None, a=8, b="y"),
    ]
    one, other = lines_of(results(rows, a=[4, 8, 16], b=["x", "y"]), "a")
    assert (one.name, one.at.tolist(), one.mse.tolist()) == ("b x", [4, 8, 16], [0.3, 0.2, 0.1])
    assert (other.name, other.at.tolist(), other.mse.tolist()) == ("b y", [4], [0.5])
    with pytest.raises(PictureError, match="No model of the sweep has a mean squared error"):
        lines_of(results([row(None, a=4)], a=[4, 8]), "a")


@pytest.mark.parametrize("images", [40, 12])
def test_pca_of_each_size_is_what_the_evaluation_measures(images_of: ImagesOf, images: int) -> None:
    train, test = images_of(images), images_of(9, seed=1)
    found = pca_curve(
        EvaluationImages(name="x", part="x", test=ArrayImages(test), train=ArrayImages(train)), GREY, [2, 8, 20, 64, 99]
    )
    assert list(found) == [2, 8, 20]  # 64 and more numbers are no fewer than an image has
    rows = test.reshape(9, 64) / 255.0
    for size, mse in found.items():
        components = fit_components(train.reshape(images, 64), size)
        wanted = np.square(rows - components.restore(components.project(rows))).mean()
        assert mse == pytest.approx(wanted, rel=1e-6)


def test_without_a_training_part_pca_is_fitted_to_what_there_is(images_of: ImagesOf) -> None:
    test = images_of(30)
    found = pca_curve(EvaluationImages(name="x", part="x", test=ArrayImages(test)), GREY, [3])
    rows = test.reshape(30, 64) / 255.0
    values = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)
    assert found[3] == pytest.approx((values[3:] ** 2).sum() / rows.size, rel=1e-6)


def test_pca_of_one_image_is_the_image_and_of_none_is_refused(images_of: ImagesOf, tmp_path: Path) -> None:
    assert pca_curve(EvaluationImages(name="x", part="x", test=ArrayImages(images_of(1))), GREY, [2]) == {2: 0.0}
    (tmp_path / "a.png").write_bytes(b"no image")
    unreadable = EvaluationImages(name="x", part="x", test=FileImages(tmp_path, ("a.png",)))
    with pytest.raises(NothingToDoError, match="None of the images of x can be read"):
        pca_curve(unreadable, GREY, [2])


def test_the_picture_has_the_lines_and_the_pca_beside_them(
    sweep_of: Callable[..., Picture], images_of: ImagesOf
) -> None:
    rows = [row(mse, latent=size, model__latent_dim=size) for size, mse in [(2, 0.05), (4, 0.03), (16, 0.01)]]
    pixels = images_of(30)
    picture = sweep_of(results(rows, model__latent_dim=[2, 4, 16]), pixels)
    assert picture.figures["axis"] == SIZE
    assert picture.figures["lines"] == {"low-pass": {"2": 0.05, "4": 0.03, "16": 0.01}}
    evaluated = pca_curve(EvaluationImages(name="x", part="x", test=ArrayImages(pixels)), GREY, [2, 4, 16])
    assert picture.figures["pca"] == pytest.approx({str(size): mse for size, mse in evaluated.items()})
    own, pca = picture.figure.axes[0].get_lines()
    assert (list(own.get_xdata()), list(own.get_ydata())) == ([2, 4, 16], [0.05, 0.03, 0.01])
    assert (list(pca.get_xdata()), list(pca.get_ydata())) == ([2, 4, 16], list(picture.figures["pca"].values()))
    assert "above the dashed line a linear model of the same size does better" in picture.reading
    assert picture.notes == (
        "PCA is fitted to the images that it is measured on, which favours it.",
        "PCA is of images, the models' errors are of held-out images of patterns.",
    )
    assert picture.figure.axes[0].get_xscale() == picture.figure.axes[0].get_yscale() == "log"
    json.dumps(dict(picture.figures), allow_nan=False)
    picture.figure.draw_without_rendering()


def test_a_latent_with_height_and_width_has_all_its_numbers(
    sweep_of: Callable[..., Picture], images_of: ImagesOf
) -> None:
    # Two and four channels of 3×3 places: PCA has as many numbers as these latents, not as they have channels.
    rows = [row(0.05, latent=18, model__latent_dim=2), row(0.03, latent=36, model__latent_dim=4)]
    picture = sweep_of(results(rows, model__latent_dim=[2, 4]), images_of(30))
    assert picture.figures["lines"] == {"low-pass": {"18": 0.05, "36": 0.03}}
    assert list(picture.figures["pca"]) == ["18", "36"]


def test_where_pca_cannot_be_the_rest_is_drawn(sweep_of: Callable[..., Picture]) -> None:
    picture = sweep_of(
        results([row(0.05, model__latent_dim=2), row(0.0, model__latent_dim=4)], model__latent_dim=[2, 4])
    )
    (note,) = picture.notes
    assert note.startswith("Without PCA: ")
    assert "dashed" not in picture.reading
    assert picture.figures["pca"] is None


def test_another_number_that_was_swept_is_the_axis(sweep_of: Callable[..., Picture]) -> None:
    rows = [row(0.1 * at, objective__kl__weight=0.5 * at, flag=flag) for at in (1, 2) for flag in (True, False)]
    picture = sweep_of(results(rows, flag=[True, False], objective__kl__weight=[0.5, 1.0]))
    assert picture.figures["axis"] == "objective.kl.weight"
    assert list(picture.figures["lines"]) == ["flag True", "flag False"]
    assert picture.notes == ()


def test_of_many_lines_ten_are_drawn(sweep_of: Callable[..., Picture]) -> None:
    rows = [row(0.1, a=at, b=f"_{line}" * 40) for at in (1, 2) for line in range(12)]
    picture = sweep_of(results(rows, a=[1, 2], b=[f"_{line}" * 40 for line in range(12)]))
    assert len(picture.figure.axes[0].get_lines()) == 10
    assert picture.notes == ("Only the first 10 of 12 lines are drawn.",)
    picture.figure.draw_without_rendering()


@pytest.mark.parametrize(
    "written",
    [
        "", "{", "[]", "null", "{}", "3", '{"variant": "a", "over": {"b": [1, 2]}, "results": []}',
        json.dumps(results([{"point": "tiny"}], a=[1, 2])),
        json.dumps(results([row(0.1, b=2)], a=[1, 2])),
        json.dumps(results([row("low", a=1)], a=[1, 2])),
        json.dumps(results([row(float("nan"), a=1)], a=[1, 2])),
        json.dumps(results([row(0.1, a=1)], a=[1, 2]) | {"over": [1]}),
        json.dumps(results([row(0.1, a="x")], a=[1, 2])),
        json.dumps(results([row(0.1, a=1)], a=[1, 2]) | {"results": [None]}),
    ],
)  # fmt: skip
def test_damaged_results_are_refused(sweep_of: Callable[..., Picture], written: str) -> None:
    with pytest.raises(PictureError, match=r"results\.json is not what a sweep writes, or has no trained model"):
        sweep_of(written)


@pytest.mark.parametrize("over", [["x", "y"], [4], [True, False], [[1], [2]]])
def test_what_is_no_axis_is_refused(sweep_of: Callable[..., Picture], over: list[Any]) -> None:
    with pytest.raises(PictureError, match=r"Nothing that was swept \(a\.b\) is a number of two values or more"):
        sweep_of(results([row(0.1, a__b=value) for value in over], a__b=over))


def test_a_folder_without_results_and_a_bundle_are_refused(
    tmp_path: Path, subject_of: Callable[..., Subject], images_of: ImagesOf
) -> None:
    assert not is_sweep(tmp_path)
    with pytest.raises(PictureError, match=r"holds no results\.json: name the folder that aedeploy sweep wrote"):
        draw_sweep(tmp_path, LIGHT)
    with pytest.raises(PictureError, match="aedeploy plot sweep SWEEP"):
        draw("sweep", subject_of(images_of(1)))
    (tmp_path / "results.json").touch()
    assert is_sweep(tmp_path)
