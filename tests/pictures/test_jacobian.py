"""The encoder's Jacobian: of a linear model, the singular values of its matrix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn

from aedeploy.bundle import Bundle
from aedeploy.errors import ConfigError, PictureError
from aedeploy.pictures import Subject, draw
from aedeploy.pictures.kinds import jacobian
from aedeploy.pictures.kinds.jacobian import spectra

SubjectOf = Callable[..., Subject]
NetworkOf = Callable[..., Bundle]


def model_of(encode: Callable[[torch.Tensor], torch.Tensor], bottleneck: nn.Module | None = None) -> Any:
    return SimpleNamespace(
        encode=lambda image: {"latent": encode(image)}, max_sigma=None, bottleneck=bottleneck or nn.Identity()
    )


@pytest.mark.parametrize("numbers", [3, 12, 20])
def test_of_a_matrix_they_are_its_singular_values(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = np.random.default_rng(0).normal(size=(numbers, 12)).astype(np.float32)
    model = model_of(lambda image: image.flatten(1) @ torch.from_numpy(matrix).T)
    images = np.random.default_rng(1).random((4, 3, 2, 2), np.float32)
    found = spectra(model, images, "linear")
    wanted = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
    assert found.shape == (4, min(numbers, 12))
    np.testing.assert_allclose(found, np.tile(wanted, (4, 1)), rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(jacobian, "_ROWS", 7)
    np.testing.assert_allclose(spectra(model, images, "linear"), found, rtol=1e-6, atol=1e-6)


def test_of_a_curved_encoder_they_are_the_images_own() -> None:
    model = model_of(lambda image: image.flatten(1) ** 2)
    images = np.array([[[[1.0, 2.0], [0.0, 3.0]]], [[[0.0, 0.0], [0.0, 0.0]]]], np.float32)
    np.testing.assert_allclose(spectra(model, images, "square"), [[6, 4, 2, 0], [0, 0, 0, 0]], atol=1e-4)


def test_a_latent_without_a_derivative_is_refused_and_a_large_one_taken_at_fewer_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = np.zeros((5, 1, 2, 2), np.float32)
    told = model_of(lambda image: image.flatten(1))
    told.max_sigma = 50.0
    with pytest.raises(PictureError, match="'x' is told the noise beside the image"):
        spectra(told, images, "x")
    for name in ("vq", "fsq"):
        quantiser = type("Bottleneck", (nn.Module,), {"__module__": f"aedeploy.models.bottlenecks.{name}"})()
        with pytest.raises(PictureError, match="the latent of 'x' jumps from code to code, and has no derivative"):
            spectra(model_of(lambda image: image.flatten(1), quantiser), images, "x")
    monkeypatch.setattr(jacobian, "_MOST_IN_ALL", 40)
    assert len(spectra(model_of(lambda image: image.flatten(1)), images, "x")) == 2
    monkeypatch.setattr(jacobian, "_MOST_NUMBERS", 15)
    with pytest.raises(PictureError, match="has 4 × 4 numbers at each image: too many"):
        spectra(model_of(lambda image: image.flatten(1)), images, "x")


def plain(network_of: NetworkOf, recipe: str = "mlp-32") -> Bundle:
    return network_of(recipe, "model.backbone.hidden=[]", "model.latent_dim=6")


def test_the_picture_has_the_spectrum_of_the_weights(subject_of: SubjectOf, network_of: NetworkOf) -> None:
    network = plain(network_of)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 1), dtype=np.uint8)
    picture = draw("jacobian", subject_of(pixels, bundle=network), images=3)
    weights = load_file(network.path / "weights.safetensors")
    (matrix,) = [value for value in weights.values() if value.shape == (6, 256)]
    wanted = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
    found = picture.figures["spectra"]["mlp-32"]
    assert [each["images"] for each in picture.figures["spectra"].values()] == [3]
    np.testing.assert_allclose(found["median"], wanted, rtol=1e-4)
    assert found["norm"] == pytest.approx(np.linalg.norm(matrix), rel=1e-4)
    assert found["above_tenth"] == (wanted > wanted[0] / 10).sum()
    np.testing.assert_allclose(picture.figure.axes[0].get_lines()[0].get_ydata(), wanted, rtol=1e-4)
    assert picture.notes == ()


def test_the_name_of_a_bundle_is_no_math_no_mark_and_not_too_long(subject_of: SubjectOf, network_of: NetworkOf) -> None:
    network = plain(network_of)
    name = "_$a$ <b>" * 40
    network = network.save(network.manifest.model_copy(update={"name": name}))
    picture = draw("jacobian", subject_of(np.zeros((1, 16, 16, 1), np.uint8), bundle=network))
    assert list(picture.figures["spectra"]) == [name]
    legend = picture.figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [" " + name[:23] + "…"]
    picture.figure.draw_without_rendering()


def test_a_second_bundle_has_a_curve_of_its_own(
    subject_of: SubjectOf, network_of: NetworkOf, tmp_path: Path, subject_at: Callable[[Bundle, Path], Bundle]
) -> None:
    network = plain(network_of)
    pixels = np.zeros((2, 16, 16, 1), np.uint8)
    subject = subject_of(pixels, bundle=network)
    other = subject_at(network, tmp_path / "copied" / "mlp-32")
    picture = draw("jacobian", subject, against=str(other.path))
    assert list(picture.figures["spectra"]) == ["mlp-32", "mlp-32 (2)"]
    assert len(picture.figure.axes[0].get_lines()) == 2
    assert len(picture.notes) == 1
    with pytest.raises(ConfigError, match="is the bundle itself: name another"):
        draw("jacobian", subject, against=str(network.path))
    colour = network_of("mlp-64", channels=3)
    with pytest.raises(ConfigError, match="takes images of another size or colour"):
        draw("jacobian", subject, against=str(colour.path))


@pytest.fixture
def subject_at() -> Callable[[Bundle, Path], Bundle]:
    """A copy of a bundle elsewhere."""

    def copy(bundle: Bundle, path: Path) -> Bundle:
        import shutil

        from aedeploy.bundle import open_bundle

        return open_bundle(Path(shutil.copytree(bundle.path, path)))

    return copy


def test_an_encoder_that_moves_nowhere_is_drawn(subject_of: SubjectOf, network_of: NetworkOf) -> None:
    network = plain(network_of)
    from aedeploy.models import load

    silent = load.load_model(network)
    for parameter in silent.module.parameters():
        nn.init.zeros_(parameter)
    subject = subject_of(np.zeros((2, 16, 16, 1), np.uint8), bundle=network)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load, "load_model", lambda bundle: silent)
        picture = draw("jacobian", subject)
    assert picture.figures["spectra"]["mlp-32"]["median"] == [0.0] * 6
    picture.figure.draw_without_rendering()
