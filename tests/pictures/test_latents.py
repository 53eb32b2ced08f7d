"""Latents as points: each where its latent is, in the hue of its label."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex

from aedeploy.errors import ConfigError
from aedeploy.pictures import LIGHT, Picture, Subject, draw
from aedeploy.pictures.kinds import latents as kind
from aedeploy.pictures.kinds.latents import same_label_share

SubjectOf = Callable[..., Subject]
ImagesOf = Callable[..., np.ndarray]


def points(picture: Picture) -> dict[tuple[float, ...], str]:
    """The hue of each point that is drawn, by where it is."""
    return {
        tuple(np.asarray(place, np.float32).tolist()): to_hex(hue)
        for drawn in picture.figure.axes[0].collections
        for place in np.asarray(drawn.get_offsets())
        for hue in drawn.get_facecolors()[:1]
    }


def legend(picture: Picture) -> list[str]:
    return [text.get_text() for drawn in picture.figure.legends for text in drawn.get_texts()]


def wanted(picture: Picture, hues: list[str]) -> dict[tuple[float, ...], str]:
    assert picture.hover is not None
    places = picture.hover.points.astype(np.float32)
    return {tuple(place.tolist()): hue for place, hue in zip(places, hues, strict=True)}


def test_every_label_has_its_hue(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    labels = [str(at % 3) for at in range(30)]
    picture = draw("latents", subject_of(images_of(30), labels))
    assert points(picture) == wanted(picture, [LIGHT.hues[int(label)] for label in labels])
    assert legend(picture) == ["0", "1", "2"]
    assert [text.get_text() for text in picture.figure.axes[0].texts] == ["0", "1", "2"]
    assert picture.hover is not None
    assert picture.hover.names == labels


def test_explained_variance_is_that_of_the_singular_values(
    subject_of: SubjectOf, images_of: ImagesOf, low_pass: Any
) -> None:
    pixels = images_of(40)
    latents = low_pass.encode(pixels)
    values = np.linalg.svd(latents - latents.mean(axis=0), compute_uv=False)
    picture = draw("latents", subject_of(pixels))
    shares = values**2 / (values**2).sum()
    np.testing.assert_allclose(picture.figures["explained_variance"], shares[:2], rtol=1e-3)
    assert f"{shares[:2].sum():.0%} of it" in picture.reading
    assert picture.notes == ("The images have no labels: put each class in a folder of its own to have it coloured.",)
    assert set(points(picture).values()) == {LIGHT.first}
    assert picture.figures["neighbours_of_same_label"] is None


def test_two_numbers_are_drawn_as_they_are(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    subject = subject_of(images_of(10))
    latents = np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32)
    subject.__dict__["code"] = {"latent": latents}
    picture = draw("latents", subject)
    assert set(points(picture)) == set(map(tuple, latents.tolist()))
    assert (picture.figures["method"], picture.figures["explained_variance"]) == ("as it is", [])
    assert picture.figure.axes[0].get_xlabel() == "z₁"
    assert "variance" not in picture.reading


def test_one_number_is_a_line_for_each_label(subject_of: SubjectOf, images_of: ImagesOf, low_pass: Any) -> None:
    pixels = images_of(12)
    labels = [str(at % 3) for at in range(12)]
    picture = draw("latents", subject_of(pixels, labels, patterns=1))
    assert picture.hover is not None
    mean = type(low_pass)(patterns=1).encode(pixels)[:, 0]
    np.testing.assert_allclose(picture.hover.points[:, 0], mean, atol=1e-5)
    np.testing.assert_array_equal(np.rint(picture.hover.points[:, 1]), [int(label) for label in labels])
    assert points(picture) == wanted(picture, [LIGHT.hues[int(label)] for label in labels])
    with pytest.raises(ConfigError, match="A latent of one number has no plane"):
        draw("latents", subject_of(pixels, patterns=1), method="pca")


def test_of_more_than_ten_classes_the_largest_have_a_hue(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    labels = [f"c{at:02}" for at in range(12) for _ in range(1 if at in (3, 7, 8) else 2)]
    picture = draw("latents", subject_of(images_of(len(labels)), labels))
    kept = [f"c{at:02}" for at in range(12) if at not in (3, 7, 8)]
    assert legend(picture) == [*kept, "others"]
    hues = [LIGHT.hues[kept.index(label)] if label in kept else LIGHT.faint for label in labels]
    assert points(picture) == wanted(picture, hues)
    assert picture.notes == ("Of 12 classes the 9 largest have a colour.",)


def test_what_has_no_label_is_with_the_others(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    labels = ["None", "", "b", "", "None", "b"]
    picture = draw("latents", subject_of(images_of(6), labels))
    hue = {"b": LIGHT.hues[0], "None": LIGHT.hues[1], "": LIGHT.faint}
    assert points(picture) == wanted(picture, [hue[label] for label in labels])
    assert picture.hover is not None
    assert picture.hover.names == ["None", "no label", "b", "no label", "None", "b"]


def test_a_neighbour_is_the_nearest_other_with_a_label(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    flat = random.normal(size=(50, 3)).astype(np.float32) + 100
    labels = np.array([random.choice(["a", "b", None]) for _ in range(50)], dtype=object)
    known = [at for at in range(50) if labels[at] is not None]
    same = 0
    for at in known:
        nearest = min(
            (other for other in known if other != at), key=lambda other: np.linalg.norm(flat[at] - flat[other])
        )
        same += labels[nearest] == labels[at]
    for block in (1024, 7):
        monkeypatch.setattr(kind, "_BLOCK", block)
        assert same_label_share(flat, labels) == pytest.approx(same / len(known))
    assert same_label_share(flat[:1], np.array(["a"], dtype=object)) is None


def test_one_labelled_image_has_no_neighbour(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    picture = draw("latents", subject_of(images_of(3), ["a", "", ""]))
    assert picture.figures["neighbours_of_same_label"] is None


def test_tsne_is_a_map_of_neighbours_only(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    picture = draw("latents", subject_of(images_of(12), list("abcabcabcabc")), method="tsne")
    assert picture.figures["method"] == "t-SNE, perplexity 3.67"
    assert picture.notes == (
        "Only who is near whom means something here: distances between groups and their sizes do not.",
    )


def test_names_of_any_kind_are_drawn_as_they_are(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    labels = ["a$b$c", "_hidden", "<b>&", "x" * 300]
    picture = draw("latents", subject_of(images_of(8), labels * 2))
    assert sorted(legend(picture)) == sorted(["a$b$c", " _hidden", "<b>&", "x" * 23 + "…"])
    assert picture.hover is not None
    assert list(picture.hover.names) == labels * 2
    picture.figure.draw_without_rendering()
