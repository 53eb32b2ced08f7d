"""docs/parity.md, from what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aedeploy.parity.tolerances import BY_FORMAT, FLOAT32

Result = Mapping[str, Any]
Graph = Mapping[str, Any]

INTRODUCTION = """<!-- Written by benchmarks/parity.py: run make parity. -->

# Parity of every recipe in every format

{recipes} recipes × {formats} formats × two kinds of pixels: each graph alone, encoder and decoder composed, the encoder
of each with the decoder of every other, and image files through the whole pipeline; {comparisons:,} comparisons with
PyTorch. [parity-method.md](parity-method.md) says how they are made, and what the tolerances mean.

    make parity        # repeats it; what is done is kept in artifacts/parity

Measured with {packages}, on a processor with AVX-512 VNNI. The models are those of [results.md](results.md), trained on
MNIST, and the two [denoisers](denoising.md) that come with the package; each is compared on its own held-out images
and on extremes (black, white, constant, checkerboard, noise, latents from beyond the data).

{verdict}
"""

FLOATS = """
## Formats that compute in float32

{names}: the worst of them. Asked: images within {image:g} (wider only by what PyTorch's own rounding explains, measured
against float64, on inputs that a model was never trained for), and no more than {changed:.2%} of all 8-bit pixels
changed.

{table}

- *image*: the largest error of an image in [0, 1], of decoder, autoencoder and composition.
- *latent*: ‖error‖ / ‖latent‖, of the encoder.
- *pixels changed*: the share of 8-bit pixels that come out one step away: of float graphs, of uint8 graphs, and of
  image files through the pipeline. Files are few: .0091 % is one pixel, and two may always be.
- *otherwise*: indices, or entries of a masked latent, that fell otherwise than PyTorch's, of how many; each was a
  near-tie.
- *across*: the largest image error where one format encodes and another one decodes.
"""

REDUCED = """
## Formats that compute in less

`onnx-fp16` and `onnx-int8`, against PyTorch in float32. Asked: {fp16_psnr:g} dB and {int8_psnr:g} dB on real
images. *size* is that of the three graphs against the float32 ONNX ones; *in float*: how many
nodes of the autoencoder were left in float32 because they hurt.

{table}
"""


def _formats(results: Iterable[Result]) -> str:
    """How many; of recipes that were measured before a format was there, or whose program was not installed, fewer."""
    numbers = {len({graph["format"] for graph in result["graphs"]}) for result in results}
    return str(max(numbers)) if len(numbers) == 1 else f"{min(numbers)} or {max(numbers)}"


def write_page(path: Path, results: Mapping[str, Result]) -> None:
    """Write the page of what there is so far."""
    graphs = [graph for result in results.values() for graph in result["graphs"]]
    float_formats = sorted({g["format"] for g in graphs} - set(BY_FORMAT))
    packages = max((result["state"]["packages"] for result in results.values()), key=len)
    text = INTRODUCTION.format(
        recipes=len(results),
        formats=_formats(results.values()),
        comparisons=sum(g["comparisons"] for g in graphs),
        packages=", ".join(f"{name} {version}" for name, version in packages.items() if version),
        verdict=_verdict(results),
    )
    text += FLOATS.format(
        names=", ".join(f"`{name}`" for name in float_formats),
        image=FLOAT32.image.absolute,
        changed=FLOAT32.changed_pixels,
        table=_table(
            (
                "recipe",
                "image",
                "by",
                "latent",
                "pixels changed",
                "… of uint8",
                "… of files",
                "otherwise",
                "across",
                "",
            ),
            (_float_row(recipe, result, float_formats) for recipe, result in results.items()),
        ),
    )
    text += REDUCED.format(
        fp16_psnr=BY_FORMAT["onnx-fp16"].image.psnr,
        int8_psnr=BY_FORMAT["onnx-int8"].image.psnr,
        table=_table(
            ("recipe", "fp16 dB", "image", "size", "", "int8 dB", "latent", "in float", "size", ""),
            (
                (recipe, *_reduced(result, "onnx-fp16"), *_reduced(result, "onnx-int8"))
                for recipe, result in results.items()
            ),
        ),
    )
    path.write_text(text, encoding="utf-8")


def _verdict(results: Mapping[str, Result]) -> str:
    wrong = [
        f"- `{recipe}`, {graph['variant']} {_role(graph)}: {graph['reason']}"
        for recipe, result in results.items()
        for graph in result["graphs"]
        if not graph["passed"]
    ]
    wrong += [
        f"- `{recipe}`, {variant}: not exported: {reason}"
        for recipe, result in results.items()
        for variant, reason in result["refused"].items()
    ]
    if not wrong:
        return "Every graph passes."
    return "What does not pass, and is therefore refused by every runtime of aedeploy:\n\n" + "\n".join(wrong)


def _role(graph: Graph) -> str:
    return str(graph["role"]) if graph["decoder"] is None else f"encoder → {graph['decoder']} decoder"


def _float_row(recipe: str, result: Result, formats: Sequence[str]) -> tuple[str, ...]:
    own = [g for g in result["graphs"] if g["format"] in formats]
    files = [g for g in own if g["role"].startswith("file")]
    alone = [g for g in own if g["decoder"] is None and g not in files]
    floats = [g for g in alone if g["pixels"] == "float32"]
    worst = max(floats, key=lambda g: _image_error(g) or 0.0)
    across = [g for g in own if g["decoder"] is not None and g["pixels"] == "float32" and str(g["decoder"]) in formats]
    return (
        recipe,
        _figure(_image_error(worst), ".1e"),
        f"{worst['format']} {worst['role']}",
        _figure(_largest(floats, lambda g: g["relative"].get("latent")), ".1e"),
        _figure(_largest(floats, lambda g: g["changed_pixels_share"]), ".4%"),
        _figure(_largest((g for g in alone if g["pixels"] == "uint8"), lambda g: g["changed_pixels_share"]), ".4%"),
        _figure(_largest(files, lambda g: g["changed_pixels_share"]), ".4%"),
        _otherwise(alone),
        _figure(_largest(across, _image_error), ".1e"),
        _mark(own),
    )


def _reduced(result: Result, format: str) -> tuple[str, ...]:
    own = [g for g in result["graphs"] if g["variant"] == format and g["decoder"] is None]
    own = [g for g in own if not g["role"].startswith("file")]
    whole = [g for g in own if g["role"] == "autoencoder"]
    if not own:
        return ("–",) * (4 if format == "onnx-fp16" else 5)
    worst_psnr = min((g["psnr"] for g in own if g["psnr"] is not None), default=None)
    sizes = {
        variant: sum(file["bytes"] for file in result["files"] if file["variant"] == variant)
        for variant in ("onnx", format)
    }
    size = f"{sizes[format] / sizes['onnx']:.2f}"
    if format == "onnx-fp16":
        return _figure(worst_psnr, ".1f"), _figure(_largest(own, _image_error), ".1e"), size, _mark(own)
    kept = next(f["quantisation"] for f in result["files"] if f["variant"] == format and f["role"] == whole[0]["role"])
    latent = _largest(own, lambda g: g["relative"].get("latent"))
    in_float = str(len(kept["float_layers"])) if kept else "–"
    return _figure(worst_psnr, ".1f"), _figure(latent, ".1%"), in_float, size, _mark(own)


def _image_error(graph: Graph) -> float | None:
    errors = [graph["max_abs"].get(name) for name in ("image", "reconstruction")]
    return max((error for error in errors if error is not None), default=None)


def _otherwise(graphs: Iterable[Graph]) -> str:
    decided = [(g["decided_otherwise"], g["decisions"]) for g in graphs if g["decisions"]]
    return f"{sum(one for one, _ in decided):,} of {sum(all_ for _, all_ in decided):,}" if decided else ""


def _largest(graphs: Iterable[Graph], of: Callable[[Graph], float | None]) -> float | None:
    return max((found for found in map(of, graphs) if found is not None), default=None)


def _figure(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _mark(graphs: Iterable[Graph]) -> str:
    return "passed" if all(g["passed"] for g in graphs) else "**failed**"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
