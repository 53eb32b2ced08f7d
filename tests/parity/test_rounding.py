"""What float32 itself explains is not held against an export; more than that is."""

from __future__ import annotations

import numpy as np
import pytest

from aedeploy.bundle import Bundle
from aedeploy.bundle.golden import load_samples
from aedeploy.parity.compare import compare
from aedeploy.parity.decisions import compare_all
from aedeploy.parity.expected import Expectation, Rounding
from aedeploy.parity.inputs import ImageCase, image_cases
from aedeploy.parity.report import COMPOSED
from aedeploy.parity.tolerances import FLOAT32, MOST_ROUNDING, ROUNDING_FACTOR
from aedeploy.recipes import recipe_names
from aedeploy.runtime.backends import eager
from aedeploy.runtime.open import open_graph


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).random((2, 1, 28, 28), dtype=np.float32)


@pytest.mark.parametrize("role", ["autoencoder", COMPOSED])
def test_it_is_pytorchs_own_error_in_float32_times_a_factor(
    trained_bundles: dict[str, Bundle], image: np.ndarray, role: str
) -> None:
    bundle = trained_bundles["mlp-2d"]
    with open_graph(bundle, "autoencoder", backend="eager") as runner:
        wanted = runner.run({"image": image})
    exact = eager.open_exact(bundle, "autoencoder").run({"image": image})["reconstruction"]
    assert exact.dtype == np.float64
    own = np.abs(exact - wanted["reconstruction"]).max()
    assert 0 < own < 1e-5
    case = ImageCase(kind="noise", images_BCHW=image)
    found = Rounding(bundle)(role, Expectation(case=case, inputs={"image": image}, wanted=wanted), "reconstruction")
    assert found == pytest.approx(ROUNDING_FACTOR * own)


def test_of_a_latent_the_bound_goes_with_its_size(trained_bundles: dict[str, Bundle], image: np.ndarray) -> None:
    case = ImageCase(kind="noise", images_BCHW=image)
    far = Expectation(case=case, inputs={"image": image}, wanted={"latent": np.full((2, 2), 1e6, np.float32)})
    assert Rounding(trained_bundles["mlp-2d"])("encoder", far, "latent") == pytest.approx(1e6 * MOST_ROUNDING)


def test_it_has_a_bound(trained_bundles: dict[str, Bundle], image: np.ndarray) -> None:
    """A reference that is far off is no rounding."""
    case = ImageCase(kind="noise", images_BCHW=image)
    far = Expectation(case=case, inputs={"image": image}, wanted={"reconstruction": np.ones_like(image)})
    assert Rounding(trained_bundles["mlp-2d"])("autoencoder", far, "reconstruction") == MOST_ROUNDING


@pytest.mark.parametrize("name", ["image", "latent", "logvar"])
def test_it_widens_a_tolerance_only_where_that_matters(image: np.ndarray, name: str) -> None:
    asked: list[str] = []

    def rounding(output: str) -> float:
        asked.append(output)
        return 5e-5

    for error, passes in ((5e-6, True), (4e-5, True), (9e-5, False)):
        (found,) = compare_all({name: image + np.float32(error)}, {name: image}, masked=False, rounding=rounding)
        assert bool(found) == passes
    assert asked == [name, name]
    assert compare("image", image, image, rounding=1e-4).limit == pytest.approx(FLOAT32.image.absolute + 1e-4)


def test_it_widens_nothing_of_a_latent_that_is_made_of_choices(image: np.ndarray) -> None:
    def rounding(output: str) -> float:
        raise AssertionError(output)

    latent = image.reshape(2, -1)
    (found,) = compare_all({"latent": latent + np.float32(1e-4)}, {"latent": latent}, masked=True, rounding=rounding)
    assert not found


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_computes_in_float64(trained_bundles: dict[str, Bundle], name: str) -> None:
    manifest = trained_bundles[name].manifest
    samples = load_samples(trained_bundles[name].file(manifest.golden))
    case = next(case for case in image_cases(manifest.image, samples, manifest.noise) if case.kind == "noise")
    exact = eager.open_exact(trained_bundles[name], "autoencoder").run(case.inputs)["reconstruction"]
    assert exact.dtype == np.float64
    with open_graph(trained_bundles[name], "autoencoder", backend="eager") as runner:
        # A choice that fell otherwise, in a latent that is made of choices, changes a few pixels by much.
        error = np.abs(runner.run(case.inputs)["reconstruction"] - exact)
    assert np.quantile(error, 0.9) < 1e-4
