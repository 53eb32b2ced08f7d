"""Images that never were: decoded from the prior, or from a Gaussian mixture fitted to the latents."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from aedeploy.config import Config
from aedeploy.errors import PictureError
from aedeploy.pictures.grid import figure_size, show
from aedeploy.pictures.picture import Picture
from aedeploy.pictures.scatter import differ, fitted_pca, one_thread, require_sklearn
from aedeploy.pictures.subject import Subject
from aedeploy.pictures.theme import Theme, new_figure

TITLE = "Samples"

# A mixture is fitted in so many principal directions at most: it has a covariance for each component.
_MOST_DIRECTIONS = 64
_MOST_COMPONENTS = 10
# Images that a component must have to say anything of its shape.
_IMAGES_PER_COMPONENT = 20
# Of a component in each direction, as a share of that of all latents.
_LEAST_VARIANCE = 1e-6


class Choices(Config):
    """What may be chosen."""

    source: Literal["auto", "prior", "mixture"] = Field(
        default="auto", description="auto: the prior, where training brought the latents to it; else the mixture."
    )
    count: int = Field(default=48, ge=1, le=400, description="How many.")
    components: int | None = Field(default=None, ge=1, le=100, description="Of the mixture; by default up to 10.")


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """A Gaussian mixture in the first principal directions of latents: ``latents`` drawn from it, float32 [count, D],
    how many ``components`` and ``directions`` it has, and the ``variance`` of the latents that those hold.
    """

    latents: np.ndarray
    components: int
    directions: int
    variance: float


def from_prior(count: int, numbers: int, random: np.random.Generator) -> np.ndarray:
    """Draws of N(0, I): float32 [count, numbers]."""
    return random.standard_normal((count, numbers), np.float32)


def from_mixture(flat: np.ndarray, count: int, components: int | None, seed: int) -> Mixture:
    """Fit a mixture to latents, [N, D], by expectation maximisation (Ghosh et al. 2020 draw from autoencoders so).

    Raises:
        PictureError: there are too few latents.
    """
    require_sklearn("A Gaussian mixture")
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    images, numbers = flat.shape
    if images < 2:
        raise PictureError("One latent has no distribution to draw from: give more images with --data.")
    most = max(1, images // _IMAGES_PER_COMPONENT)
    directions = min(_MOST_DIRECTIONS, numbers, max(1, images // 4))
    if not differ(flat):
        raise PictureError("All latents are the same, so there is no distribution to draw from.")
    rows = flat.astype(np.float64)
    plane = fitted_pca(rows, directions)
    wanted = min(components or _MOST_COMPONENTS, most if components is None else images)
    points = plane.transform(rows)
    # In the latents' own units: what is added to every variance must be next to nothing of them.
    least = _LEAST_VARIANCE * float(points.var(axis=0).mean())
    mixture = GaussianMixture(wanted, covariance_type="full", reg_covar=least, random_state=seed)
    with warnings.catch_warnings(), one_thread():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(points)
    drawn, _ = mixture.sample(count)
    # sample() gives them component by component; a picture mixes them.
    drawn = drawn[np.random.default_rng(seed).permutation(count)]
    return Mixture(
        latents=plane.inverse_transform(drawn).astype(np.float32),
        components=wanted,
        directions=directions,
        variance=float(plane.explained_variance_ratio_.sum()),
    )


def draw(subject: Subject, choices: Choices, theme: Theme) -> Picture:
    subject.require_codes_between("Samples")
    source = choices.source
    if source == "auto":
        source = "prior" if subject.prior is not None else "mixture"
    notes: list[str] = []
    figures: dict[str, object] = {"source": source, "count": choices.count}
    if source == "prior":
        latents = from_prior(choices.count, subject.flat.shape[1], subject.generator("samples"))
        said = "Each image is decoded from a draw of the prior N(0, I)"
        if subject.prior is None:
            notes.append("Nothing in training brought the latents to N(0, I), so the decoder has not seen such draws.")
        if subject.spatial:
            notes.append(
                "Each place is drawn alone, so whole objects are not to be expected: they take a second model."
            )
        spread = subject.flat.astype(np.float64)
        figures |= {"latent_mean": float(spread.mean()), "latent_std": float(spread.std())}
    else:
        mixture = from_mixture(subject.flat, choices.count, choices.components, subject.seed)
        latents = mixture.latents
        said = f"Each image is decoded from a draw of a mixture of {mixture.components} Gaussians fitted to the latents"
        figures |= {
            "components": mixture.components,
            "directions": mixture.directions,
            "explained_variance": mixture.variance,
        }
        if mixture.directions < subject.flat.shape[1]:
            notes.append(
                f"The mixture is fitted in the {mixture.directions} directions of the largest variance, which have "
                f"{mixture.variance:.0%} of it."
            )
        latent = subject.manifest.latent
        if latent is not None and latent.masked:
            notes.append("The encoder's own codes are mostly 0, and draws of a mixture are not.")
    images = subject.decode(latents)
    columns = min(12, choices.count)
    rows = [list(images[at : at + columns]) for at in range(0, len(images), columns)]
    width, height = figure_size(subject.shape, len(rows), columns)
    figure = new_figure(width, height)
    show(figure.add_subplot(), rows)
    return Picture(
        kind="samples",
        title=TITLE,
        theme=theme,
        figure=figure,
        reading=f"{said}; the more of them look like images of the data, the better new ones can be made so.",
        figures=figures,
        notes=tuple(notes),
    )
