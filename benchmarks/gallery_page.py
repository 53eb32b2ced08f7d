"""docs/gallery.md: each question with its pictures, its measured answer and the commands that draw it."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from gallery_sections import SWEEP, Model, Section, Shot
from PIL import Image

#: The folder of the pictures, beside the page.
PICTURES = "gallery"
# Pictures are shown at half their size, so that they are sharp on every screen.
_SHOWN = 2
_WIDTH = 120

HEAD = """# Gallery

*Written by `benchmarks/gallery.py` (`make gallery`) from what it trained and measured; change it there.*

The exercises of introductory autoencoder notebooks, each with its picture and a measured answer. Every model is a
recipe of [variants.md](variants.md), some with one setting changed, trained for its own epochs with seed 0 on the 9,000
embedded digits; pictures and figures are of the 1,000 that were held out, by the exported ONNX graphs (filters, feature
maps, Jacobians and the errors of the sweep by PyTorch). That is a seventh of MNIST: errors are larger than in
[results.md](results.md). The words of every answer follow from its figures, so another training may give another
answer. The pictures follow your page's theme.
"""


def write_page(
    path: Path,
    done: Sequence[tuple[Section, str]],
    about: Sequence[str],
    *,
    models: Mapping[str, Model],
    eager: Collection[str],
) -> None:
    """Write the page of all sections that were drawn, its pictures in ``gallery/`` beside it.

    ``about``: what must be known of how it was made. ``eager``: models that PyTorch draws, their graphs being refused.
    """
    parts = [HEAD.strip(), *(f"- [{section.question}](#{anchor(section.question)})" for section, _ in done)]
    contents = "\n".join(parts[1:])
    body = ["\n\n".join(_section(section, answer, path.parent, models, eager)) for section, answer in done]
    made = "## How it is made\n\n" + "\n\n".join(wrapped(each) for each in about)
    path.write_text("\n\n".join([parts[0], contents, *body, made]) + "\n", encoding="utf-8")


def anchor(title: str) -> str:
    """What GitHub makes of a heading."""
    return "".join(c for c in title.lower() if c.isalnum() or c in " -_").replace(" ", "-")


def wrapped(text: str) -> str:
    """A paragraph in lines, none of which begins with a %."""
    together = text.replace(" %", "\u00a0%")
    return textwrap.fill(together, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _section(
    section: Section, answer: str, folder: Path, models: Mapping[str, Model], eager: Collection[str]
) -> Iterable[str]:
    yield f"## {section.question}"
    yield wrapped(section.exercise)
    yield "\n".join(picture(shot, folder) for shot in section.shots)
    yield wrapped(f"*{section.read}*")
    yield wrapped(answer)
    yield wrapped(f"Figures: {section.made}")
    yield "```\n" + "\n".join(_commands(section, models, eager)) + "\n```"


def picture(shot: Shot, folder: Path) -> str:
    """A picture for light pages and for dark ones, as GitHub's pages have it."""
    light, dark = (f"{PICTURES}/{file_name(shot, theme)}" for theme in ("light", "dark"))
    with Image.open(folder / light) as image:
        width = image.width // _SHOWN
    return (
        "<picture>\n"
        f'  <source media="(prefers-color-scheme: dark)" srcset="{dark}">\n'
        f'  <img alt="{shot.kind} of {shot.model}" src="{light}" width="{width}">\n'
        "</picture>"
    )


def file_name(shot: Shot, theme: str) -> str:
    return f"{shot.name}{'-dark' if theme == 'dark' else ''}.png"


def plot_command(shot: Shot, *, eager: bool = False) -> str:
    """What draws the picture by hand."""
    chosen = dict(shot.choices)
    if "against" in chosen:
        chosen["against"] = f"artifacts/gallery/{chosen['against']}"
    options = "".join(f" --set {key}={value}" for key, value in chosen.items())
    return f"aedeploy plot {shot.kind} artifacts/gallery/{shot.model}{options}{' --backend eager' if eager else ''}"


def train_command(model: Model) -> str:
    changed = "".join(f" --set {override}" for override in model.overrides)
    return f"aedeploy train --variant {model.recipe}{changed} --out artifacts/gallery/{model.name}"


def sweep_command(models: Mapping[str, Model]) -> str:
    sizes = [name.rpartition("-")[2] for name in models if name.startswith(f"{SWEEP}/")]
    return f"aedeploy sweep --variant mlp-32 --over model.latent_dim={','.join(sizes)} --out artifacts/gallery/{SWEEP}"


def _commands(section: Section, models: Mapping[str, Model], eager: Collection[str]) -> Iterable[str]:
    for shot in section.shots:
        if shot.kind == "sweep":
            yield sweep_command(models)
        elif models[shot.model].overrides:
            yield train_command(models[shot.model])
        elif shot.choices.get("against") in models:
            yield train_command(models[shot.choices["against"]])
    yield from (plot_command(shot, eager=shot.model in eager) for shot in section.shots)
