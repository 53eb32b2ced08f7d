"""docs/denoising.md, from what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Figures = Mapping[str, Any]

#: PSNR in dB as papers print it, for σ = 15, 25, 50; None where they do not.
LITERATURE: Mapping[str, Mapping[str, tuple[float | None, float | None, float | None]]] = {
    "bsd68": {
        "non-local means": (None, 26.7, None),
        "BM3D": (None, 28.57, None),
        "TNRD": (None, 28.92, None),
        "IRCNN (186 k parameters)": (None, 29.15, None),
        "FFDNet": (None, 29.19, None),
        "DnCNN": (31.73, 29.23, 26.23),
        "DRUNet": (None, 29.48, None),
    },
    "set12": {"BM3D": (32.37, 29.97, 26.72), "DnCNN": (32.86, 30.44, 27.18)},
    "photographs": {},
}

#: As figures.json names the methods, and as a reader does.
NAMES = {
    "noisy": "noisy, as it is",
    "nlm": "non-local means",
    "bm3d": "BM3D",
    "denoiser": "**aedeploy**",
    "denoiser, int8": "aedeploy, int8",
    "denoiser, σ estimated": "aedeploy, σ estimated",
}
TITLES = {
    "bsd68": "BSD68, grey",
    "set12": "Set12, grey",
    "photographs": "Photographs, colour",
}
SIGMAS = (15.0, 25.0, 50.0)


def write_page(path: Path, figures: Figures) -> None:
    """Write the page of all that was measured so far."""
    parts = [
        "# Denoising, measured",
        "*Written by `benchmarks/denoise.py` from what it measured; change it there.*",
        _bundles(figures),
        *_pictures(figures.get("pictures", [])),
        *sections(figures),
        METHOD,
        machine_line(figures),
    ]
    path.write_text("\n\n".join(part.strip() for part in parts if part) + "\n", encoding="utf-8")


def sections(figures: Figures) -> list[str]:
    """What was measured so far, of all that ``figures`` has; the cards of the bundles have it too."""
    return [
        *_quality(figures.get("quality", {})),
        *_auto(figures.get("auto", {})),
        *_speed(figures),
        *_memory(figures.get("memory", {})),
    ]


METHOD = """
## How it is measured

The protocol of DnCNN (Zhang et al. 2017) and of those after it, as `aedeploy evaluate --denoising` has it
([evaluation.md](evaluation.md#denoising-photographs)). Of a clean image, bytes `clean` [height, width, channels]:

```python
draws = numpy.random.default_rng(0).standard_normal(clean.shape)  # anew for each image
noisy = ((clean + sigma * draws) / 255).astype("float32")  # not clipped
output = numpy.rint(numpy.clip(method(noisy, sigma), 0, 1) * 255)  # compared as 8 bits
psnr = 10 * numpy.log10(255**2 / numpy.square(clean - output).mean())  # over all pixels and channels; then images
```

SSIM is that of Wang et al. 2004 on the same 8-bit images in [0, 1]: a gaussian window of 11×11, σ = 1.5, K₁ = 0.01,
K₂ = 0.03, without padding; in colour the mean of the three channels. The noisy image itself is neither clipped nor
rounded where its figures are given.

- **aedeploy**: the exported ONNX graph by onnxruntime, told σ unless it says that it is estimated.
- **BM3D**: its authors' package `bm3d`, told σ, profile `np`; colour by `bm3d_rgb`.
  Its licence is for non-commercial use only; nothing of aedeploy needs it.
- **Non-local means**: OpenCV's `fastNlMeansDenoising` and `fastNlMeansDenoisingColored`, with its own window of 21×21.
  They take bytes, so the noisy image is clipped and rounded for them. In grey: patches of 3×3 and h = 1.1 σ up to
  σ = 20, of 5×5 and h = 0.75 σ + 4 above, chosen on every sixteenth image of train400; in colour patches of 3×3,
  h = 0.7 σ, and 0.8 σ for the colours, chosen on every seventh of the training photographs. Both are within 0.06 dB of
  the best of their grids at 15, 25 and 50. OpenCV's usual patch of 7×7 is up to 0.7 dB worse in grey, 1.1 dB in colour.
- **Photographs**: the 15 whose names begin with `exif-org__`, which no training has seen, upright, shrunk by two with a
  Lanczos filter, so that little is left of what JPEG did to them.
- What is literature is from the papers and was not measured here.
""".strip()


def _bundles(figures: Figures) -> str:
    rows = []
    for name, about in figures["bundles"].items():
        graphs = ", ".join(f"`{path}` {size:,}" for path, size in about["graphs"].items())
        rows.append([f"`{name}`", f"{about['bundle_bytes']:,}", graphs, f"`{about['weights_sha256'][:12]}`"])
    table = _table(["bundle", "bytes", "graphs, bytes", "weights"], rows)
    return f"The two denoisers that come with the package, beside what people use today.\n\n{table}"


def _pictures(pictures: Sequence[Figures]) -> Iterable[str]:
    for shown in pictures:
        alt = f"{shown['what']}: noisy, non-local means, BM3D, aedeploy, clean"
        yield f"![{alt}]({shown['file']})"
    if pictures:
        named = "; ".join(f"{shown['what']}, {shown['photograph']!r}" for shown in pictures)
        yield (
            "*Parts of photographs that training held out, shrunk by two, shown pixel by pixel; PSNR of the part. From "
            "[metadata-extractor-images](https://github.com/drewnoakes/metadata-extractor-images), free for any use: "
            f"{named}.*"
        )


def _quality(quality: Figures) -> Iterable[str]:
    if quality:
        yield "## PSNR and SSIM"
    for name, title in TITLES.items():
        if name not in quality:
            continue
        found = quality[name]
        at = {(row["method"], row["sigma"]): row for row in found["results"]}
        present = [method for method in NAMES if (method, SIGMAS[0]) in at]
        rows = []
        for method in present:
            cells = [f"{at[method, s]['psnr']:.2f} · {at[method, s]['ssim']:.3f}" for s in SIGMAS]
            rows.append([NAMES[method], *cells])
        gains = [at["denoiser", s]["psnr"] - at["bm3d", s]["psnr"] for s in SIGMAS]
        rows.append(["aedeploy above BM3D, dB", *(f"{gain:+.2f}" for gain in gains)])
        rows += [
            [f"*{paper}, literature*", *("–" if value is None else f"*{value:.2f}*" for value in values)]
            for paper, values in LITERATURE[name].items()
        ]
        header = ["dB · SSIM", *(f"σ = {s:g}" for s in SIGMAS)]
        size = f"{found['images']} images, {found['megapixels']:.1f} megapixels."
        yield f"### {title}\n\n{size}\n\n{_table(header, rows)}"


def _auto(auto: Figures) -> Iterable[str]:
    if not auto:
        return
    yield "## σ estimated"
    yield (
        "How near `--sigma auto` comes (`aedeploy/images/noise_level.py` says how), of unclipped floats, and of what "
        "an 8-bit file holds of them: the mean error and the worst, relative to σ, and how many images are within 10 %."
    )
    for name, title in TITLES.items():
        if name not in auto:
            continue
        rows = [
            [
                f"{at['sigma']:g}",
                at["given"],
                f"{at['mean']:.2f}",
                f"{at['mean_error']:.1%}",
                f"{at['worst_error']:.1%}",
                f"{at['near']} of {at['images']}",
            ]
            for at in auto[name]["estimates"]
        ]
        yield f"### {title}\n\n" + _table(["σ", "of", "estimated", "mean error", "worst", "within 10 %"], rows)
    yield "## A clean image comes back"
    yield "Denoised at the σ that is estimated in it, against itself."
    rows = []
    for name, found in auto.items():
        clean = found["clean"]
        lowest, median = (_decibels(clean[key]) for key in ("lowest_psnr", "median_psnr"))
        rows.append(
            [
                TITLES[name],
                lowest,
                median,
                f"{clean['untouched']} of {clean['images']}",
                f"{clean['sigma']:.2f}, {clean['worst_sigma']:.2f}",
            ]
        )
    yield _table(["images", "lowest, dB", "median, dB", "40 dB or more", "σ estimated: mean, most"], rows)


def _decibels(value: float | None) -> str:
    return "unchanged" if value is None else f"{value:.1f}"


def _speed(figures: Figures) -> Iterable[str]:
    speed, large = figures.get("speed", {}), figures.get("large", {})
    if speed or large:
        yield "## Speed"
    if speed:
        some = next(iter(speed.values()))
        yield (
            f"{len(some['images'])} images of BSD68 (grey) and as many photographs (colour) at σ = 25, "
            f"{some['threads']} threads each; medians of {some['rounds']} interleaved rounds, of the call alone."
        )
        for name, found in speed.items():
            ours = statistics.median(found["seconds"]["denoiser"])
            rows = [
                [
                    NAMES[method],
                    f"{statistics.median(took) / len(found['images']):.3f}",
                    f"{found['megapixels_per_second'][method]:.3g}",
                    f"{statistics.median(took) / ours:.3g}",
                ]
                for method, took in found["seconds"].items()
            ]
            table = _table(["method", "seconds an image", "megapixels a second", "times the seconds of aedeploy"], rows)
            yield f"### `{name}`\n\n{table}"
    if large:
        yield "### Large photographs\n\nMegapixels a second of one photograph, in tiles where memory asks for them."
        rows = [
            [f"`{name}`", millions, *(f"{found[millions][how]:.2f}" for how in ("σ told", "σ estimated", "nlm"))]
            for name, found in large.items()
            for millions in found
        ]
        yield _table(["bundle", "megapixels", "σ told", "σ estimated", "non-local means"], rows)


def _memory(memory: Figures) -> Iterable[str]:
    if not memory:
        return
    yield "## Memory"
    some = next(iter(memory.values()))
    ways = [way for way in some if way not in ("megapixels", "usual_tile")]
    yield (
        f"The peak of a process of its own, in MiB (VmHWM), Python and onnxruntime included, at {some['megapixels']:g} "
        f"megapixels; 'nothing' is the same process with an image of 64×64. By default a tile has a side of "
        f"{some['usual_tile']} pixels here, by the memory there is. The image and its output in floats, which no tiles "
        f"make smaller, are {_images(memory)} MiB of it."
    )
    rows = [
        [f"`{name}`", *("–" if found[way] is None else f"{found[way]['mib']:,.0f}" for way in ways)]
        for name, found in memory.items()
    ]
    rows += [
        [f"`{name}`, seconds", *("–" if found[way] is None else f"{found[way]['seconds']:.1f}" for way in ways)]
        for name, found in memory.items()
    ]
    yield _table(["MiB", *ways], rows)


def _images(memory: Figures) -> str:
    """Bytes in, and four times as many out."""
    return " and ".join(f"{5 * found['whole']['image_mib']:.0f}" for found in memory.values() if found["whole"])


def machine_line(figures: Figures) -> str:
    """On what it was measured."""
    packages = ", ".join(f"{name} {version}" for name, version in figures["packages"].items())
    machine = figures["machine"]
    return f"Measured on {machine['cores']} cores of {machine['processor']}, with {packages}."


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
