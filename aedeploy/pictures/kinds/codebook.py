"""How often each code of a codebook is used, and where in an image."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from aedeploy.config import Config
from aedeploy.errors import PictureError
from aedeploy.evaluation.codebook import CodebookFigures, CodebookSums
from aedeploy.pictures.grid import enlarged, show
from aedeploy.pictures.picture import Picture
from aedeploy.pictures.subject import Subject
from aedeploy.pictures.theme import SEQUENTIAL, Theme, bars, new_figure

TITLE = "Codebook use"


class Choices(Config):
    """What may be chosen."""

    images: int = Field(default=8, ge=1, le=16, description="Whose codes are shown place by place.")


def counts(indices: np.ndarray) -> np.ndarray:
    """How often each entry occurs in int64 indices [N, …], the most frequent first: int64 [used]."""
    _, found = np.unique(indices, return_counts=True)
    return np.sort(found)[::-1]


def ranks(indices: np.ndarray) -> np.ndarray:
    """Each index as its place among all that occur, 0 the most frequent: int64, of the same shape."""
    entries, places, found = np.unique(indices, return_inverse=True, return_counts=True)
    rank = np.empty(len(entries), np.int64)
    rank[np.argsort(-found, kind="stable")] = np.arange(len(entries))
    return rank[places].reshape(indices.shape)


def draw(subject: Subject, choices: Choices, theme: Theme) -> Picture:
    import matplotlib as mpl

    latent = subject.manifest.latent
    if latent is None or latent.codebook_size is None or "indices" not in subject.code:
        raise PictureError(f"The model of {subject.name!r} has no codebook.")
    indices = subject.code["indices"]
    use = _figures(indices, latent.codebook_size)
    frequent = counts(indices)
    maps = indices.ndim == 3
    figure = new_figure(6.8, 5.4 if maps else 3.2)
    top, bottom = figure.subplots(2, 1, height_ratios=(3, 2)) if maps else (figure.add_subplot(), None)
    shares = 100.0 * frequent / frequent.sum()
    bars(top, shares, theme.first)
    top.axvline(use.perplexity - 0.5, color=theme.second, linewidth=1.6)
    top.annotate(
        f" perplexity {use.perplexity:.1f}", (use.perplexity, shares.max()), va="top", color=theme.ink, fontsize=10
    )
    top.set_xlim(-1, max(len(shares), min(use.size, 4 * len(shares))))
    top.set_xlabel(f"code, by falling use ({use.used:,} of {use.size:,} are used)")
    top.set_ylabel("share of all places, %")
    top.grid(visible=False, axis="x")
    if bottom is not None:
        chosen = np.unique(np.linspace(0, len(indices) - 1, choices.images).round().astype(int))
        shown = mpl.colormaps[SEQUENTIAL](ranks(indices)[chosen] / max(1, use.used - 1), bytes=True)
        show(bottom, [list(subject.pixels[chosen]), [enlarged(each, subject.shape) for each in shown]],
             names=["image", "its codes"])  # fmt: skip
    return Picture(
        kind="codebook",
        title=TITLE,
        theme=theme,
        figure=figure,
        reading=(
            "The bars show how evenly the codes share the work: the perplexity is how many of them would do if all "
            "were used alike, and codes without a bar are in none of these images"
            + ("; below, dark places have frequent codes and bright ones rare codes." if maps else ".")
        ),
        figures={
            "size": use.size,
            "used": use.used,
            "perplexity": use.perplexity,
            "entropy_bits": use.entropy_bits,
            "bits": use.bits,
        },
    )


def _figures(indices: np.ndarray, size: int) -> CodebookFigures:
    sums = CodebookSums(size)
    sums.add(indices)
    return sums.figures()
