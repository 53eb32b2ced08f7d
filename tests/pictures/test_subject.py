"""What pictures are of: what the graphs make of the images, as NumPy makes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_bundle import write_tiny_bundle

from aedeploy.errors import BackendError, ConfigError, PictureError
from aedeploy.images.pixels import to_floats
from aedeploy.pictures import Subject

SubjectOf = Callable[..., Subject]
ImagesOf = Callable[..., np.ndarray]


def test_nothing_is_read_or_run_before_it_is_asked_for(tmp_path: Path) -> None:
    subject = Subject(write_tiny_bundle(tmp_path / "tiny"), data=str(tmp_path / "absent.npz"))
    assert subject.name == "tiny"
    assert subject.failures == ()
    with pytest.raises(ConfigError, match=r"absent\.npz"):
        _ = subject.pixels


def test_latents_and_reconstructions_are_the_models(subject_of: SubjectOf, images_of: ImagesOf, low_pass: Any) -> None:
    pixels = images_of(5)
    subject = subject_of(pixels)
    latents = low_pass.encode(pixels)
    np.testing.assert_allclose(subject.flat, latents, atol=1e-5)
    np.testing.assert_allclose(subject.units, latents.T, atol=1e-5)
    again = low_pass.decode(latents)
    np.testing.assert_allclose(subject.reconstructions, again, atol=0.51)
    np.testing.assert_array_equal(subject.decode(subject.flat), subject.reconstructions)
    whole = np.rint(again)
    errors = [np.mean((one / 255 - other / 255) ** 2) for one, other in zip(pixels, whole, strict=True)]
    np.testing.assert_allclose(subject.errors, errors, rtol=1e-2)
    assert subject.shape == (8, 8, 1)
    assert (subject.spatial, subject.unit_name) == (False, "dimension")


def test_kl_is_the_closed_form(subject_of: SubjectOf, images_of: ImagesOf, low_pass: Any) -> None:
    pixels = images_of(7)
    mean = low_pass.encode(pixels)
    variance = np.exp(-mean)  # its logvar is −mean
    wanted = 0.5 * (mean**2 + variance - 1 - np.log(variance)).mean(axis=0)
    kl = subject_of(pixels, gaussian=True).kl
    assert kl is not None
    np.testing.assert_allclose(kl, wanted, rtol=1e-5)
    assert subject_of(pixels).kl is None


def test_kl_of_a_channel_is_that_of_all_its_places(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    subject = subject_of(images_of(3), gaussian=True)
    random = np.random.default_rng(0)
    mean, logvar = random.normal(size=(2, 3, 4, 2, 2)).astype(np.float32)
    subject.__dict__["code"] = {"latent": mean, "logvar": logvar}
    each = 0.5 * (mean**2 + np.exp(logvar) - 1 - logvar)
    assert subject.kl is not None
    np.testing.assert_allclose(subject.kl, each.mean(axis=0).sum(axis=(1, 2)), rtol=1e-5)
    assert (subject.spatial, subject.unit_name) == (True, "channel")
    np.testing.assert_array_equal(subject.units[1], mean[:, 1].ravel())


def test_a_kl_beyond_all_floats_is_infinite_and_no_warning(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    subject = subject_of(images_of(3), gaussian=True)
    subject.__dict__["code"] = {"latent": np.zeros((3, 2), np.float32), "logvar": np.full((3, 2), 1e3, np.float32)}
    assert subject.kl is not None
    assert np.isinf(subject.kl).all()


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"objective": {"reconstruction": {"loss": "mse"}}}, None),
        ({"objective": {"kl": {"weight": 0.1}}}, "the KL"),
        ({"objective": {"kl": {}}}, "the KL"),
        ({"objective": {"kl": {"weight": 0.0}}}, None),
        ({"objective": {"mmd": {"weight": 10.0}}}, "the MMD"),
        ({"training": {"method": {"name": "adversarial"}}}, "a discriminator"),
        ({"training": {"method": {"name": "greedy"}}}, None),
    ],
)
def test_what_brought_the_latents_to_the_prior_is_in_the_recipe(
    subject_of: SubjectOf, images_of: ImagesOf, recipe: dict[str, Any], said: str | None
) -> None:
    assert subject_of(images_of(1), recipe=recipe, gaussian=True).prior == said


def test_the_typical_image_of_a_class_is_the_nearest_to_its_mean(
    subject_of: SubjectOf, images_of: ImagesOf, low_pass: Any
) -> None:
    pixels = images_of(30)
    labels = np.random.default_rng(1).choice(["cat", "dog", ""], 30)
    subject = subject_of(pixels, labels)
    latents = low_pass.encode(pixels)
    for name in ("cat", "dog"):
        members = np.flatnonzero(labels == name)
        mean = latents[members].mean(axis=0)
        np.testing.assert_allclose(subject.centre(name), mean, atol=1e-5)
        assert subject.typical(name) == members[np.linalg.norm(latents[members] - mean, axis=1).argmin()]
        assert subject.place_of(name, "start") == subject.typical(name)


def test_an_image_without_a_label_is_of_no_class(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    subject = subject_of(images_of(4), ["None", "", "a", ""])
    assert subject.images.labels == ("None", None, "a", None)
    assert subject.place_of("None", "start") == 0
    assert [subject.called(at) for at in range(4)] == ["None", "image 1", "a", "image 3"]


def test_a_place_is_a_class_or_a_position(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    subject = subject_of(images_of(4), ["7", "7", "9", "9"])
    assert subject.place_of(9, "start") in (2, 3)
    assert subject.place_of(3, "start") == subject.place_of("3", "start") == 3
    for wrong, said in [
        (4, "start=4: there are 4 images, counted from 0"),
        (-1, "start=-1: there are 4 images"),
        ("cat", "start=cat: the classes are 7, 9; or give the position"),
    ]:
        with pytest.raises(ConfigError, match=said):
            subject.place_of(wrong, "start")
    with pytest.raises(ConfigError, match="start=cat: the images have no labels"):
        subject_of(images_of(4)).place_of("cat", "start")


def test_random_numbers_of_one_use_are_not_those_of_another(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    one, other = subject_of(images_of(1)), subject_of(images_of(1), seed=1)
    draws = [subject.generator(name).random() for subject, name in [(one, "a"), (one, "b"), (other, "a")]]
    assert len(set(draws)) == 3
    assert one.generator("a").random() == draws[0]


def test_noisy_images_go_through_as_they_are(subject_of: SubjectOf, images_of: ImagesOf, low_pass: Any) -> None:
    pixels = images_of(3)
    subject = subject_of(pixels, denoising=True)
    noisy = to_floats(pixels) + np.random.default_rng(0).normal(0, 0.5, (3, 1, 8, 8)).astype(np.float32)
    assert noisy.min() < 0.0
    assert noisy.max() > 1.0
    latents = noisy.reshape(3, -1) @ low_pass.basis
    wanted = low_pass.decode(latents).transpose(0, 3, 1, 2) / 255.0
    np.testing.assert_allclose(subject.denoise(noisy, 25.0), wanted, atol=1e-5)


def test_a_graph_that_gives_nan_is_refused(subject_of: SubjectOf) -> None:
    white = np.full((2, 8, 8, 1), 255, np.uint8)
    subject = subject_of(white, denoising=True, broken_at_white=True)
    for ask in (lambda: subject.reconstructions, lambda: subject.denoise(to_floats(white), 25.0), lambda: subject.code):
        with pytest.raises(BackendError, match="NaN or infinity"):
            ask()


def test_a_history_is_read_as_far_as_it_can_be(
    subject_of: SubjectOf, images_of: ImagesOf, an_epoch: Callable[..., dict[str, Any]]
) -> None:
    lines = [an_epoch(1), "", "[1]", '{"epoch": 2}', an_epoch(3), '{"epoch": 4, "train_lo']
    assert [line["epoch"] for line in subject_of(images_of(1), history=lines).history()] == [1, 3]
    with pytest.raises(PictureError, match=r"history\.jsonl of bundle 'tiny' holds no epoch that can be read"):
        subject_of(images_of(1), history=["{", "null", "[" * 100_000]).history()
    with pytest.raises(PictureError, match=r"Bundle 'tiny' has no history\.jsonl: it was not trained by aedeploy"):
        subject_of(images_of(1)).history()
    unreadable = subject_of(images_of(1), history=[])
    (unreadable.bundle.path / "history.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PictureError, match="holds no epoch"):
        unreadable.history()
