"""An export measures how far a pixel looks, and writes that into the manifest."""

from __future__ import annotations

from pathlib import Path

import pytest

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.card import card
from aedeploy.export.own import OwnRequest, examine, export_own


def test_a_fully_convolutional_bundle_says_how_far_a_pixel_looks(
    trained_bundles: dict[str, Bundle], exported_bundles: dict[str, Bundle]
) -> None:
    before, after = trained_bundles["vq-vae"].manifest, exported_bundles["vq-vae"].manifest
    assert before.any_size is None
    assert after.any_size is not None
    assert (after.any_size.radius, after.any_size.stride) == (33, 4)
    assert after.digest == before.digest
    assert "up to 33 px away" in card(after)


def test_a_model_of_one_size_says_nothing(exported_bundles: dict[str, Bundle]) -> None:
    assert exported_bundles["mlp-32"].manifest.any_size is None
    assert "Full-size" not in card(exported_bundles["mlp-32"].manifest)


@pytest.mark.parametrize(("factory", "radius"), [("SpatialLatent", 9), ("Denoiser", 2)])
def test_a_model_of_ones_own_says_so_too(tmp_path: Path, factory: str, radius: int) -> None:
    request = OwnRequest(module=f"own_networks:{factory}", image_shape=(3, 32, 32), multiple_of=4)
    export_own(examine(request), tmp_path / "own", ["torchscript"], parity=False)
    found = open_bundle(tmp_path / "own").manifest.any_size
    assert found is not None
    assert (found.radius, found.unbounded_by) == (radius, None)
