"""First-layer filters: each unit's weights, the right way round."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from torch import nn

from aedeploy.bundle import Bundle, ImageContract
from aedeploy.errors import PictureError
from aedeploy.models.load import load_model
from aedeploy.pictures import Subject, draw
from aedeploy.pictures.kinds.filters import first_filters

SubjectOf = Callable[..., Subject]
NetworkOf = Callable[..., Bundle]
Cells = Callable[..., np.ndarray]


def contract(channels: int, height: int, width: int) -> ImageContract:
    mode = "L" if channels == 1 else "RGB"
    return ImageContract(channels=channels, mode=mode, height=height, width=width, dynamic_size=False)


def model_of(*layers: nn.Module, bottleneck: nn.Module | None = None) -> Any:
    return SimpleNamespace(trunk=nn.Sequential(*layers), bottleneck=bottleneck or nn.Identity())


def test_a_unit_answers_to_the_image_that_its_filter_shows() -> None:
    # The inner product of a filter as drawn, [h, w, C], with an image, [h, w, C], is what the unit computes.
    layer = nn.Linear(3 * 4 * 5, 7, bias=False)
    found = first_filters(model_of(nn.Flatten(), layer, nn.ReLU(), nn.Linear(7, 2)), contract(3, 4, 5))
    assert found.shape == (7, 4, 5, 3)
    image = np.random.default_rng(0).random((4, 5, 3), np.float32)
    given = torch.from_numpy(image.transpose(2, 0, 1))[None].flatten(1)
    np.testing.assert_allclose((found * image).sum(axis=(1, 2, 3)), layer(given)[0].detach().numpy(), atol=1e-5)


def test_a_convolution_has_its_kernels() -> None:
    layer = nn.Conv2d(3, 4, (2, 3), bias=False)
    found = first_filters(model_of(layer, nn.Conv2d(4, 8, 3)), contract(3, 16, 16))
    assert found.shape == (4, 2, 3, 3)
    patch = np.random.default_rng(0).random((2, 3, 3), np.float32)
    wanted = layer(torch.from_numpy(patch.transpose(2, 0, 1))[None])[0, :, 0, 0]
    np.testing.assert_allclose((found * patch).sum(axis=(1, 2, 3)), wanted.detach().numpy(), atol=1e-5)


def test_without_a_trunk_the_bottlenecks_layer_is_the_first() -> None:
    layer = nn.Linear(16, 3)
    found = first_filters(model_of(nn.Flatten(), bottleneck=layer), contract(1, 4, 4))
    np.testing.assert_array_equal(found[..., 0].reshape(3, 16), layer.weight.detach().numpy())


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([nn.ReLU()], "has no layer of weights that sees the image"),
        ([nn.Linear(15, 2)], "the first layer takes 15 numbers, which are no pixels"),
        ([nn.PixelUnshuffle(2), nn.Conv2d(4, 2, 3)], "works on 4 channels that were made of the image's 1"),
        ([nn.Conv2d(1, 2, 1)], "looks at single pixels"),
    ],
)
def test_weights_that_are_no_picture_are_refused(layers: list[nn.Module], said: str) -> None:
    with pytest.raises(PictureError, match=said):
        first_filters(model_of(*layers), contract(1, 4, 4))


@pytest.mark.parametrize("channels", [1, 3])
def test_those_of_the_largest_weights_are_drawn(
    subject_of: SubjectOf, network_of: NetworkOf, cells: Cells, channels: int
) -> None:
    network = network_of("mlp-32", "model.backbone.hidden=[20]", channels=channels)
    subject = subject_of(np.zeros((1, 16, 16, channels), np.uint8), bundle=network)
    picture = draw("filters", subject, count=13)
    weights = first_filters(load_model(network).module, network.manifest.image)
    order = np.argsort(-np.linalg.norm(weights.reshape(20, -1), axis=1))[:13]
    largest = np.abs(weights[order]).max()
    assert picture.figures == {"filters": 20, "size": [16, 16], "largest_weight": pytest.approx(largest)}
    drawn = np.asarray(picture.figure.axes[0].images[0].get_array())
    columns = drawn.shape[1] // (16 + 2)  # two pixels between them
    rows = [cells(picture, row, columns, (16, 16, channels)) for row in range(-(-13 // columns))]
    shown = np.concatenate(rows)[:13]
    if channels == 1:
        # Colours have as many steps as the map has entries.
        wanted = mpl.colormaps["PuOr"](0.5 + 0.5 * weights[order][..., 0] / largest, bytes=True)
        np.testing.assert_allclose(shown.astype(int), wanted.astype(int), atol=8)
        assert picture.figure.axes[1].get_ylabel() == "weight of a pixel"
    else:
        np.testing.assert_allclose(shown[..., :3], 127.5 + 127.5 * weights[order] / largest, atol=0.51)
        assert len(picture.figure.axes) == 1
    assert picture.notes == ("7 more, of smaller weights, are not drawn.",)
    assert draw("filters", subject).notes == ()
