"""The README.md that a bundle carries, so that it explains itself to whoever it was sent to.

It is written again whenever the bundle changes, all but what is between two lines of it: there is room for what no
manifest knows, such as what the model is not for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aedeploy.bundle.card_calls import how_to_call
from aedeploy.bundle.manifest import SIGMA, GraphRecord, Manifest, TensorSpec
from aedeploy.bundle.store import CARD_FILE, Bundle
from aedeploy.files import write_text

#: What is between these lines of a card outlives its being written again.
KEPT_FROM = "<!-- What is written between this line and the next such line stays when the card is written again. -->"
KEPT_TO = "<!-- To here. -->"

_MEANING = {
    "epochs": "epochs trained",
    "best_epoch": "the epoch whose weights these are",
    "loss": "the objective's loss",
    "mse": "mean squared error of a pixel in [0, 1]",
    "mae": "mean absolute error of a pixel in [0, 1]",
    "psnr": "of that mean squared error, in dB",
    "bce": "binary cross entropy of a pixel, in nats",
    "kl_nats": "KL of the posterior from N(0, I), in nats an image",
    "elbo_nats": "evidence lower bound, in nats an image; of one sample",
    "noisy_mse": "mean squared error of the noisy inputs",
    "noisy_psnr": "of the noisy inputs, in dB",
    "denoised_mse": "mean squared error of the denoised outputs",
    "denoised_psnr": "of the denoised outputs, in dB",
}

#: Of a model that is told the noise.
_MEANING_TOLD = {
    "mse": "mean squared error of a pixel in [0, 1], of clean images, told that there is no noise",
    "mae": "mean absolute error of a pixel in [0, 1], likewise",
    "denoised_mse": "mean squared error of the denoised outputs, of all levels of noise that it was trained on",
}


def write_card(bundle: Bundle, kept: str | None = None) -> None:
    """Write ``README.md`` from a bundle's manifest; to be written again when that changes.

    ``kept``: what is to be between the two lines; by default what is there now.
    """
    path = bundle.path / CARD_FILE
    if kept is None:
        kept = kept_in(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else ""
    write_text(path, card(bundle.manifest, kept))


def card(manifest: Manifest, kept: str = "") -> str:
    """The model card, in Markdown; ``kept`` goes between the two lines that say so."""
    sections = [
        _title(manifest),
        "\n\n".join(filter(None, [KEPT_FROM, kept.strip(), KEPT_TO])),
        _contract(manifest),
        how_to_call(manifest),
        _graphs(manifest),
        _measured(manifest) if manifest.metrics else "",
        _origin(manifest),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def kept_in(text: str) -> str:
    """What is between the two lines of a card; empty where it lacks one of them."""
    _, found, rest = text.partition(KEPT_FROM)
    kept, ended, _ = rest.partition(KEPT_TO)
    return kept.strip() if found and ended else ""


def _title(manifest: Manifest) -> str:
    recipe = manifest.recipe
    lines = [
        f"# {manifest.name}",
        "",
        f"{recipe.get('summary') or 'An autoencoder'} (recipe `{recipe.get('name', '?')}`).",
    ]
    if recipe.get("source"):
        lines.append(f"After: {recipe['source']}.")
    return "\n".join(lines)


def _contract(manifest: Manifest) -> str:
    image, latent = manifest.image, manifest.latent
    colour = "grey" if image.channels == 1 else "RGB"
    size = f"{image.height}×{image.width}"
    if image.dynamic_size:
        rule = f"any height and width that are multiples of {image.multiple_of}, {image.minimum} at the least"
        size = f"{rule}; trained at {size}"
    lines = [
        "## What it takes and gives",
        "",
        f"- Image: {colour}, {size}; upright by EXIF, alpha dropped, resized bilinearly; a byte b goes in as b / 255.",
        *([f"- Full-size images: {manifest.any_size}."] if manifest.any_size else []),
        f"- As a tensor: float32 `[batch, {image.channels}, height, width]` in [0, 1]; normalisation is in the graphs.",
        *_noise(manifest),
    ]
    if latent is None:
        lines.append("- It cannot be cut into encoder and decoder.")
    else:
        law = (
            "; the mean of a gaussian, whose `logvar` the encoder gives too"
            if latent.distribution == "gaussian"
            else ""
        )
        law += f"; one of {latent.codebook_size:,} codes a place, by its `indices`" if latent.codebook_size else ""
        lines.append(f"- Latent: float32 `[batch, {', '.join(map(str, latent.shape))}]`{law}.")
    return "\n".join(lines)


def _noise(manifest: Manifest) -> list[str]:
    if manifest.noise is None:
        return []
    return [
        f"- Noise: `{SIGMA}`, float32 `[batch, 1, height, width]`: its standard deviation at each pixel in "
        f"{manifest.noise.unit}, 0 to {manifest.noise.maximum:g}. aedeploy makes that of one number, or estimates it."
    ]


def _graphs(manifest: Manifest) -> str:
    if not manifest.graphs:
        return "## Graphs\n\nNone exported yet."
    rows = [
        (
            f"`{graph.file.path}`",
            graph.role,
            _signature(graph),
            _requirement(graph),
            f"{graph.file.bytes:,}",
            graph.parity,
        )
        for graph in manifest.graphs
    ]
    return "## Graphs\n\n" + _table(("file", "role", "inputs → outputs", "needs", "bytes", "parity with PyTorch"), rows)


def _signature(graph: GraphRecord) -> str:
    sides = (", ".join(_tensor(spec) for spec in specs) for specs in (graph.inputs, graph.outputs))
    return " → ".join(sides)


def _tensor(spec: TensorSpec) -> str:
    return f"`{spec.name}` {spec.dtype} [{', '.join(map(str, spec.shape))}]"


def _requirement(graph: GraphRecord) -> str:
    parts = [f"opset {graph.opset}" if graph.opset else "", graph.oldest_runtime or ""]
    return ", ".join(part for part in parts if part) or "–"


def _measured(manifest: Manifest) -> str:
    data = manifest.provenance.data
    where = f"On {data.held_out:,} held-out images of {data.name}, by PyTorch" if data else "By PyTorch"
    rows = [(name, _figure(value), _meaning(name, manifest)) for name, value in manifest.metrics.items()]
    return f"## What was measured\n\n{where}:\n\n" + _table(("figure", "value", "meaning"), rows)


def _figure(value: float | int | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.5g}"


def _meaning(name: str, manifest: Manifest) -> str:
    if name.startswith("loss_"):
        return f"the term {name.removeprefix('loss_')} of the loss, before its weight"
    if manifest.noise is not None and name in _MEANING_TOLD:
        return _MEANING_TOLD[name]
    return _MEANING.get(name, "")


def _origin(manifest: Manifest) -> str:
    provenance, data = manifest.provenance, manifest.provenance.data
    lines = ["## Where it comes from", ""]
    if data:
        lines.append(f"- Trained on {data.train:,} images of {data.name}; {data.split}.")
        if data.preparation:
            lines.append(f"- Made of them: {data.preparation}.")
        if data.files:
            lines.append(f"- The {len(data.files):,} files are named in `bundle.json`.")
    packages = ", ".join(f"{name} {version}" for name, version in provenance.packages.items())
    seed = "" if provenance.seed is None else f", seed {provenance.seed}"
    lines += [
        f"- Written {provenance.created}{seed}, on {provenance.platform}.",
        f"- With {packages}.",
    ]
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
