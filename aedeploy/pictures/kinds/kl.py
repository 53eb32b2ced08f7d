"""What each latent dimension of a gaussian model costs: its KL from the prior."""

from __future__ import annotations

import numpy as np

from aedeploy.config import Config
from aedeploy.errors import PictureError
from aedeploy.evaluation.gaussian import ACTIVE_KL
from aedeploy.pictures.picture import Picture
from aedeploy.pictures.subject import Subject
from aedeploy.pictures.theme import Theme, bars, new_figure

TITLE = "KL by dimension"


class Choices(Config):
    """Nothing."""


def draw(subject: Subject, choices: Choices, theme: Theme) -> Picture:
    kl = subject.kl
    if kl is None:
        raise PictureError(f"The latent of {subject.name!r} is no gaussian, so it has no KL from a prior.")
    if not np.isfinite(kl).all():
        raise PictureError(f"A KL of {subject.name!r} is beyond what a float holds: nothing kept its variances down.")
    order = np.argsort(-kl, kind="stable")
    active = int((kl > ACTIVE_KL).sum())
    figure = new_figure(6.4, 3.4)
    axes = figure.add_subplot()
    bars(axes, kl[order][:active], theme.first)
    bars(axes, kl[order][active:], theme.faint, first=active)
    axes.set_xlabel(f"{subject.unit_name}, by falling KL")
    axes.set_ylabel("KL from N(0, 1), nats an image")
    if len(kl) <= 32:
        axes.set_xticks(np.arange(len(kl)), [str(at + 1) for at in order], fontsize=9 if len(kl) <= 24 else 7)
    axes.grid(visible=False, axis="x")
    return Picture(
        kind="kl",
        title=TITLE,
        theme=theme,
        figure=figure,
        reading=(
            f"How much each {subject.unit_name} tells the decoder of an image; one near 0 is as the prior has it, and "
            f"unused. {active} of {len(kl)} have more than {ACTIVE_KL:g} nats."
        ),
        figures={"kl": [float(value) for value in kl], "total": float(kl.sum()), "active": active},
        notes=()
        if subject.prior is not None
        else ("Nothing in training held the latents to the prior, so this KL is no cost that it weighed.",),
    )
