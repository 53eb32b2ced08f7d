"""Every kind of picture of every kind of bundle and images: drawn, or refused in a sentence that says why.

A kind that somebody adds is drawn here too; where it does not apply, REFUSED says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aedeploy.bundle import Bundle
from aedeploy.errors import BackendError, ConfigError
from aedeploy.pictures import PAGE, Picture, Subject, draw, picture_names

SubjectOf = Callable[..., Subject]
ImagesOf = Callable[..., np.ndarray]

# Why, in part, by the kind: of a tiny bundle, which is a point in 16 numbers, and whose recipe makes no model.
_NO_CODEBOOK = "has no codebook"
_NO_KL = "is no gaussian"
_NO_NOISE = "was not trained to take noise out of images"
_NO_HISTORY = r"has no history\.jsonl"
_NOT_TWO = "is drawn of a latent of two numbers"
_NO_LATENT = "has no latent to show"
_NO_LAYERS = "'model.backbone' is missing"
_NO_CONVOLUTION = "has no convolutions"
_OF_A_FOLDER = "is drawn of its folder, and not of a bundle"
_OF_CODES = "and its decoder has seen no others"
_OF_LATENTS = ("activity", "arithmetic", "interpolation", "kl", "latents", "manifold", "samples", "traversals")
_TINY = {
    "codebook": _NO_CODEBOOK, "curves": _NO_HISTORY, "denoising": _NO_NOISE, "feature-maps": _NO_LAYERS,
    "filters": _NO_LAYERS, "jacobian": _NO_LAYERS, "kl": _NO_KL, "manifold": _NOT_TWO, "sweep": _OF_A_FOLDER,
}  # fmt: skip
_OURS = {key: _TINY[key] for key in ("codebook", "curves", "denoising", "kl", "sweep")}


# Where what is drawn is written too, which takes most of the time: every kind, with words and points of every length.
_WRITTEN = {"grey", "one number", "all black", "strange names", "two numbers", "spatial", "codes", "whole"}


def less(refused: dict[str, str], *kinds: str, **more: str) -> dict[str, str]:
    return {key: why for key, why in refused.items() if key not in kinds} | {
        key.replace("_", "-"): why for key, why in more.items()
    }


#: By the situation, the kinds that are refused, and why; all others must be drawn.
REFUSED: dict[str, dict[str, str]] = {
    "grey": less(_TINY, "curves"),
    "rgb": _TINY,
    "gaussian": less(_TINY, "kl"),
    "denoising": less(_TINY, "denoising"),
    "one number": _TINY,
    "no labels": _TINY,
    "one image": less(
        _TINY,
        arithmetic="takes three images",
        interpolation="One image is no way to another",
        latents="1 latents of 16 numbers span no plane",
        samples="One latent has no distribution",
        traversals="One image has no range",
    ),
    "one image of a prior": less(
        _TINY,
        "kl",
        arithmetic="takes three images",
        interpolation="One image is no way to another",
        latents="1 latents of 16 numbers span no plane",
    ),
    "all the same": less(_TINY, samples="All latents are the same"),
    "all black": less(_TINY, samples="All latents are the same"),
    "strange names": _TINY,
    "many classes": _TINY,
    "two numbers": less(_OURS, feature_maps=_NO_CONVOLUTION),
    "spatial": less(_OURS, "kl", manifold=_NOT_TWO),
    "codes": less(
        _OURS, "codebook", arithmetic=_OF_CODES, manifold=_OF_CODES, samples=_OF_CODES, traversals=_OF_CODES,
        jacobian="jumps from code to code",
    ),
    "whole": less(
        _OURS,
        "denoising",
        **dict.fromkeys(_OF_LATENTS, _NO_LATENT),
        filters="that were made of the image's 1",
        jacobian="is told the noise beside the image",
    ),
}  # fmt: skip


@pytest.fixture
def subject_in(
    subject_of: SubjectOf,
    images_of: ImagesOf,
    network_of: Callable[..., Bundle],
    prior: dict[str, Any],
    an_epoch: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> Callable[[str], Subject]:
    """A subject in one of the situations."""
    grey, labels = images_of(24), list("abc") * 8

    def of_ours(bundle: Bundle, size: int = 16) -> Subject:
        pixels = np.random.default_rng(0).integers(0, 256, (24, size, size, 1), dtype=np.uint8)
        return subject_of(pixels, labels, bundle=bundle, options={"backend": "eager"})

    def whole() -> Bundle:
        from small_denoiser import write_small_denoiser

        return write_small_denoiser(tmp_path / "whole")

    situations: dict[str, Callable[[], Subject]] = {
        "grey": lambda: subject_of(grey, labels, history=[an_epoch(1), an_epoch(2)]),
        "rgb": lambda: subject_of(images_of(24, 3), labels),
        "gaussian": lambda: subject_of(grey, labels, gaussian=True, recipe=prior),
        "denoising": lambda: subject_of(grey, labels, denoising=True),
        "one number": lambda: subject_of(grey, labels, patterns=1),
        "no labels": lambda: subject_of(grey),
        "one image": lambda: subject_of(grey[:1], ["a"]),
        "one image of a prior": lambda: subject_of(grey[:1], gaussian=True, recipe=prior),
        "all the same": lambda: subject_of(grey[:1].repeat(24, axis=0), labels),
        "all black": lambda: subject_of(0 * grey, labels),
        "strange names": lambda: subject_of(grey, ["$x$ & <b>", "_" * 200, "", "猫" * 30] * 6),
        "many classes": lambda: subject_of(grey, [str(at // 2) for at in range(24)]),
        "two numbers": lambda: of_ours(network_of("mlp-2d", "model.normalisation=none")),
        "spatial": lambda: of_ours(network_of("kl-conv", "model.backbone.channels=8")),
        "codes": lambda: of_ours(network_of("vq-vae", "model.backbone.channels=8")),
        "whole": lambda: of_ours(whole(), 24),
    }
    assert list(situations) == list(REFUSED)
    return lambda name: situations[name]()


def finite(picture: Picture) -> bool:
    limits = [limit for axes in picture.figure.axes for limit in (*axes.get_xlim(), *axes.get_ylim())]
    return bool(np.isfinite(limits).all())


@pytest.mark.parametrize("situation", REFUSED)
def test_a_picture_is_drawn_or_refused_in_a_sentence(situation: str, subject_in: Callable[[str], Subject]) -> None:
    subject = subject_in(situation)
    why = {}
    for kind in picture_names():
        try:
            picture = draw(kind, subject, theme=PAGE)
        except ConfigError as error:
            why[kind] = str(error)
            continue
        if situation in _WRITTEN:
            svg = picture.svg(f"{kind}-")
            assert svg.startswith("<svg ")
            assert not re.findall("#01f[de]|#f{6}", svg)  # no colour that stands for one, and no light page
        assert finite(picture)
        assert picture.reading.endswith(".")
        json.dumps(dict(picture.figures), allow_nan=False)
    assert list(why) == sorted(REFUSED[situation])
    for kind, said in REFUSED[situation].items():
        assert re.search(said, why[kind]), (kind, why[kind])
        assert re.fullmatch(r"[A-Z'0-9].*(\.|  aedeploy [a-z ]+ [A-Z]+)", why[kind]), why[kind]


@pytest.mark.parametrize("kind", ["activity", "latents", "samples", "reconstructions"])
def test_a_bundle_without_graphs_is_refused_by_what_needs_them(
    subject_of: SubjectOf, network_of: Callable[..., Bundle], kind: str
) -> None:
    subject = subject_of(np.zeros((3, 16, 16, 1), np.uint8), bundle=network_of("mlp-32"))
    with pytest.raises(BackendError, match="Bundle 'mlp-32' has no exported graph yet: run  aedeploy export"):
        draw(kind, subject)
    assert draw("filters", subject).figures["filters"] == 128


@pytest.mark.parametrize("kind", ["latents", "samples", "reconstructions", "traversals"])
def test_a_model_that_gives_nan_is_refused(subject_of: SubjectOf, kind: str) -> None:
    white = np.full((30, 8, 8, 1), 255, np.uint8)
    with pytest.raises(BackendError, match="of bundle 'tiny' gave NaN or infinity in"):
        draw(kind, subject_of(white, broken_at_white=True))


def test_a_picture_of_one_kind_can_be_drawn_alone_and_twice(subject_of: SubjectOf, images_of: ImagesOf) -> None:
    subject = subject_of(images_of(30), list("abc") * 10)
    for kind in ("samples", "latents", "samples"):
        first, again = (draw(kind, subject, theme=PAGE).svg("x-") for _ in range(2))
        assert first == again
