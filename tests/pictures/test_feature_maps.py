"""Feature maps: the outputs of the encoder's layers, as a convolution written out gives them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from torch import nn

from aedeploy.bundle import Bundle
from aedeploy.errors import ConfigError, PictureError
from aedeploy.images.pixels import to_floats
from aedeploy.pictures import Subject, draw
from aedeploy.pictures.kinds.feature_maps import feature_maps

SubjectOf = Callable[..., Subject]
NetworkOf = Callable[..., Bundle]
Cells = Callable[..., np.ndarray]


def model_of(*layers: nn.Module) -> Any:
    trunk = nn.Sequential(*layers)
    return SimpleNamespace(trunk=trunk, max_sigma=None, features=lambda image, sigma: trunk(image))


def convolved(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """[H, W] by [3, 3], what is beyond the border 0."""
    padded = np.pad(image, 1)
    found = np.zeros_like(image)
    for y, x in np.ndindex(image.shape):
        found[y, x] = (padded[y : y + 3, x : x + 3] * kernel).sum()
    return found


def test_maps_are_those_of_each_layer_also_where_the_next_works_in_place() -> None:
    conv = nn.Conv2d(1, 2, 3, padding=1, bias=False)
    image = np.random.default_rng(0).normal(size=(1, 1, 6, 6)).astype(np.float32)
    model = model_of(conv, nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 4))
    found = feature_maps(model, image)
    assert [(each.name, each.kind) for each in found] == [("0", "Conv2d"), ("1", "ReLU"), ("2", "MaxPool2d")]
    kernels = conv.weight.detach().numpy()[:, 0]
    wanted = np.stack([convolved(image[0, 0], kernel) for kernel in kernels])
    np.testing.assert_allclose(found[0].maps, wanted, atol=1e-5)
    assert found[0].maps.min() < 0.0
    np.testing.assert_allclose(found[1].maps, wanted.clip(min=0.0), atol=1e-5)
    pooled = wanted.clip(min=0.0).reshape(2, 3, 2, 3, 2).max(axis=(2, 4))
    np.testing.assert_allclose(found[2].maps, pooled, atol=1e-5)
    # Nothing is left hanging on the model.
    assert not any(each._forward_hooks for each in model.trunk.modules())


def test_layers_without_height_and_width_have_no_maps() -> None:
    assert feature_maps(model_of(nn.Flatten(), nn.Linear(16, 3)), np.zeros((1, 1, 4, 4), np.float32)) == []
    assert feature_maps(model_of(nn.Conv2d(1, 2, 4)), np.zeros((1, 1, 4, 4), np.float32)) == []


@pytest.fixture
def subject(subject_of: SubjectOf, network_of: NetworkOf) -> Subject:
    network = network_of("deep-conv", "model.backbone.channels=[5,6]", "model.latent_dim=4")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 1), dtype=np.uint8)
    return subject_of(pixels, bundle=network, options={"backend": "eager"})


def test_the_channels_that_vary_most_are_drawn(subject: Subject, cells: Cells) -> None:
    from aedeploy.models.load import load_model

    picture = draw("feature-maps", subject, image=2, channels=3)
    layers = feature_maps(load_model(subject.bundle).module, to_floats(subject.pixels[2:3]))
    assert picture.figures["layers"] == {each.name: list(each.maps.shape) for each in layers}
    assert picture.figures["image"] == 2
    assert picture.figures["unused"] == {each.name: int((each.maps.std(axis=(1, 2)) == 0).sum()) for each in layers}
    first = layers[0]
    shown = cells(picture, 0, 4, (16, 16, 1))
    np.testing.assert_array_equal(shown[0][..., :1], subject.pixels[2])
    kept = np.argsort(-first.maps.std(axis=(1, 2)))[:3]
    largest = np.abs(first.maps[kept]).max()
    import matplotlib as mpl

    coloured = mpl.colormaps["PuOr"](0.5 + 0.5 * first.maps[kept] / largest, bytes=True)
    np.testing.assert_array_equal(shown[1:], coloured)
    # Below the first row there is no image again.
    assert not cells(picture, 0, 1, (16, 16, 1), axes=1)[0].any()
    assert len(picture.figure.axes) == min(4, len(layers))
    names = [axes.get_yticklabels()[0].get_text() for axes in picture.figure.axes]
    assert names[0] == f"{first.name}\n{first.kind}, 5×16×16"


def test_layers_can_be_named(subject: Subject) -> None:
    names = list(draw("feature-maps", subject).figures["layers"])
    picture = draw("feature-maps", subject, layers=[names[1]])
    assert len(picture.figure.axes) == 1
    with pytest.raises(ConfigError, match=f"layers: there is no layer 'x'; known: {names[0]}"):
        draw("feature-maps", subject, layers=["x"])
    with pytest.raises(ConfigError, match="'layers' cannot be"):
        draw("feature-maps", subject, layers=[])


def test_a_model_without_convolutions_has_none(subject_of: SubjectOf, network_of: NetworkOf) -> None:
    subject = subject_of(np.zeros((2, 16, 16, 1), np.uint8), bundle=network_of("mlp-32"))
    with pytest.raises(PictureError, match="The encoder of 'mlp-32' has no convolutions"):
        draw("feature-maps", subject)


def test_a_model_that_cannot_be_cut_has_maps_also_of_a_class(subject_of: SubjectOf, tmp_path: Path) -> None:
    from small_denoiser import SIZE, write_small_denoiser

    pixels = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 1), dtype=np.uint8)
    subject = subject_of(pixels, ["0", "0", "1"], bundle=write_small_denoiser(tmp_path / "whole"))
    picture = draw("feature-maps", subject, image="1")
    assert picture.figures["image"] == 2
    assert draw("feature-maps", subject).figures["image"] in (0, 1)


def test_somebodys_own_code_is_not_looked_into(subject_of: SubjectOf) -> None:
    subject = subject_of(np.zeros((1, 8, 8, 1), np.uint8), recipe={"model": {"module": "theirs:make"}})
    for kind in ("feature-maps", "filters", "jacobian"):
        with pytest.raises(PictureError, match="'tiny' is somebody's own code, whose layers are not looked into"):
            draw(kind, subject)
