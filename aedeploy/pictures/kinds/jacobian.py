"""How far the latent moves when the image does: singular values of the encoder's Jacobian."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from aedeploy.config import Config
from aedeploy.errors import ConfigError, PictureError
from aedeploy.images.pixels import to_floats
from aedeploy.pictures.picture import Picture
from aedeploy.pictures.subject import Subject
from aedeploy.pictures.theme import Theme, new_figure, plain_ticks, short, whole_ticks
from aedeploy.pictures.weights import model_of

TITLE = "The encoder's Jacobian"

# Numbers of one Jacobian, and of all together: of more, they take minutes.
_MOST_NUMBERS, _MOST_IN_ALL = 2**20, 2**21
# Of a Jacobian, so many at a time.
_ROWS = 256

# Below this share of the largest, a value is as good as none, and is not drawn.
_SHOWN = 1e-4


class Choices(Config):
    """What may be chosen."""

    images: int = Field(default=16, ge=1, le=256, description="At which it is taken, at the most.")
    against: str | None = Field(default=None, description="A second bundle to compare with, such as one trained plain.")


def draw(subject: Subject, choices: Choices, theme: Theme) -> Picture:
    subjects = [subject]
    if choices.against is not None:
        data, root, limit = subject.wanted
        subjects.append(Subject(choices.against, data=data, root=root, limit=limit, seed=subject.seed))
        if subjects[1].bundle.path.resolve() == subject.bundle.path.resolve():
            raise ConfigError(f"against: {choices.against} is the bundle itself: name another.")
        if subjects[1].manifest.image != subject.manifest.image:
            raise ConfigError(f"against: {choices.against} takes images of another size or colour.")
    figure = new_figure(6.4, 3.8)
    axes = figure.add_subplot()
    figures: dict[str, Any] = {"spectra": {}}
    highest = 0.0
    place = np.unique(np.linspace(0, len(subject.pixels) - 1, choices.images).round().astype(int))
    for each, hue, style in zip(subjects, (theme.first, theme.second), ("-", "--"), strict=False):
        name = f"{each.name} (2)" if each.name in figures["spectra"] else each.name
        found = spectra(model_of(each, "The Jacobian"), to_floats(subject.pixels[place]), each.name)
        low, middle, high = np.quantile(found, [0.25, 0.5, 0.75], axis=0)
        highest = max(highest, float(high.max()))
        at = np.arange(1, len(middle) + 1)
        axes.plot(at, middle, color=hue, linestyle=style, label=short(name), marker="o" if len(at) <= 4 else None)
        axes.fill_between(at, low, high, color=hue, alpha=0.25, linewidth=0)
        figures["spectra"][name] = {
            "images": len(found),
            "median": [float(value) for value in middle],
            "norm": float(np.sqrt(np.square(found).sum(axis=1)).mean()),
            "above_tenth": float((found > found[:, :1] / 10).sum(axis=1).mean()),
        }
    top = max(max(spectrum["median"]) for spectrum in figures["spectra"].values())
    if top > 0.0:
        axes.set_yscale("log")
        # By itself the axis would keep room for what is below the least that is shown, and as much above.
        axes.set_ylim(_SHOWN * top, 1.5 * highest)
        plain_ticks(axes.yaxis)
    shown = max(sum(value > _SHOWN * top for value in spectrum["median"]) for spectrum in figures["spectra"].values())
    last = max(2, shown)
    axes.set_xlim(1.0 - 0.03 * last, 1.02 * last)
    axes.set_xlabel("direction, the most sensitive first")
    axes.set_ylabel("singular value of ∂z/∂x")
    whole_ticks(axes.xaxis)
    axes.legend(fontsize=10)
    counts = " and ".join(str(spectrum["images"]) for spectrum in figures["spectra"].values())
    return Picture(
        kind="jacobian",
        title=TITLE,
        theme=theme,
        figure=figure,
        reading=(
            "How much the latent moves for a small change of the image, by direction: the median of "
            f"{counts} images and the middle half of them. A contractive encoder has few large values and "
            "a steep fall: only the directions in which the data varies count."
        ),
        figures=figures,
        notes=("Latents of two models have scales of their own: compare how the curves fall before their height.",)
        if len(subjects) > 1
        else (),
    )


def spectra(model: Any, images_NCHW: np.ndarray, name: str) -> np.ndarray:
    """The singular values of ∂latent/∂image at each image, pixels in [0, 1], falling: float64 [N, min(D, pixels)];
    of a large latent for fewer images.

    Raises:
        PictureError: the latent has no derivative, or there would be too many numbers.
    """
    import torch

    if model.max_sigma is not None:
        raise PictureError(
            f"The Jacobian: {name!r} is told the noise beside the image, and is no function of it alone."
        )
    if type(model.bottleneck).__module__.rpartition(".")[2] in ("vq", "fsq"):
        raise PictureError(f"The Jacobian: the latent of {name!r} jumps from code to code, and has no derivative.")
    images = torch.from_numpy(images_NCHW)
    with torch.no_grad():
        numbers = model.encode(images[:1])["latent"].numel()
    if numbers * images[0].numel() > _MOST_NUMBERS:
        raise PictureError(
            f"The Jacobian of {name!r} has {numbers:,} × {images[0].numel():,} numbers at each image: too many."
        )
    count = max(1, _MOST_IN_ALL // (numbers * images[0].numel()))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # see scatter.one_thread
    try:
        return np.stack([_singular_values(_jacobian(model, image, numbers)) for image in images[:count]])
    finally:
        torch.set_num_threads(threads)


def _jacobian(model: Any, image_CHW: Any, numbers: int) -> Any:
    """Of one image, [D, pixels]: by a batch that has it once for each number of the latent, and that number of each."""
    import torch

    rows = []
    for start in range(0, numbers, _ROWS):
        batch = image_CHW.repeat(min(_ROWS, numbers - start), 1, 1, 1).requires_grad_()
        latents = model.encode(batch)["latent"].flatten(1)
        (gradients,) = torch.autograd.grad(latents.diagonal(start).sum(), batch)
        rows.append(gradients.flatten(1))
    return torch.cat(rows)


def _singular_values(jacobian: Any) -> np.ndarray:
    """Falling, as the square roots of the eigenvalues of J Jᵀ: in a tenth of the time."""
    import torch

    double = jacobian.double()
    small = double if len(double) <= double.shape[1] else double.T
    found: np.ndarray = torch.linalg.eigvalsh(small @ small.T).clamp(min=0.0).sqrt().flip(0).numpy()
    return found
