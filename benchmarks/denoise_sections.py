"""What was measured of the denoisers, in Markdown: for docs/denoising.md and the cards of the bundles."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from denoise_methods import AUTO, INT8, OURS

from aedeploy.evaluation.denoising.protocol import DEFAULT_SIGMAS
from aedeploy.evaluation.denoising.result import NOISY

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
    NOISY: "noisy, as it is",
    "nlm": "non-local means",
    "bm3d": "BM3D",
    OURS: "**aedeploy**",
    INT8: "aedeploy, int8",
    AUTO: "aedeploy, σ estimated",
}
TITLES = {
    "bsd68": "BSD68, grey",
    "set12": "Set12, grey",
    "photographs": "Photographs, colour",
}


def sections(figures: Figures) -> list[str]:
    """What was measured so far, of all that ``figures`` has; the cards of the bundles have it too."""
    return [
        *_quality(figures.get("quality", {})),
        *_int8(figures),
        *_auto(figures.get("auto", {})),
        *_jpeg(figures.get("jpeg")),
        *_speed(figures),
        *_memory(figures.get("memory", {})),
        *_training(figures.get("training", {})),
    ]


def _quality(quality: Figures) -> Iterable[str]:
    if quality:
        yield "## PSNR and SSIM"
    for name, title in TITLES.items():
        if name not in quality:
            continue
        found = quality[name]
        at = {(row["method"], row["sigma"]): row for row in found["results"]}
        present = [method for method in NAMES if (method, DEFAULT_SIGMAS[0]) in at]
        rows = []
        for method in present:
            cells = [f"{at[method, s]['psnr']:.2f} · {at[method, s]['ssim']:.3f}" for s in DEFAULT_SIGMAS]
            rows.append([NAMES[method], *cells])
        gains = [at[OURS, s]["psnr"] - at["bm3d", s]["psnr"] for s in DEFAULT_SIGMAS]
        rows.append(["aedeploy above BM3D, dB", *(f"{gain:+.2f}" for gain in gains)])
        rows += [
            [f"*{paper}, literature*", *("–" if value is None else f"*{value:.2f}*" for value in values)]
            for paper, values in LITERATURE[name].items()
        ]
        header = ["dB · SSIM", *(f"σ = {s:g}" for s in DEFAULT_SIGMAS)]
        size = f"{found['images']} images, {found['megapixels']:.1f} megapixels."
        yield f"### {title}\n\n{size}\n\n{table(header, rows)}"


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
        yield f"### {title}\n\n" + table(["σ", "of", "estimated", "mean error", "worst", "within 10 %"], rows)
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
    yield table(["images", "lowest, dB", "median, dB", "40 dB or more", "σ estimated: mean, most"], rows)


def _decibels(value: float | None) -> str:
    return "unchanged" if value is None else f"{value:.1f}"


def _speed(figures: Figures) -> Iterable[str]:
    speed, large = figures.get("speed", {}), figures.get("large", {})
    if speed or large:
        yield "## Speed"
    if speed:
        some = next(iter(speed.values()))
        yield (
            f"{len(some['images'])} images of each kind that is measured above, at σ = 25, "
            f"{some['threads']} threads each; medians of {some['rounds']} interleaved rounds, of the call alone."
        )
        for name, found in speed.items():
            ours = statistics.median(found["seconds"][OURS])
            rows = [
                [
                    NAMES[method],
                    f"{statistics.median(took) / len(found['images']):.3f}",
                    f"{found['megapixels_per_second'][method]:.3g}",
                    f"{statistics.median(took) / ours:.3g}",
                ]
                for method, took in found["seconds"].items()
            ]
            of_methods = table(
                ["method", "seconds an image", "megapixels a second", "times the seconds of aedeploy"], rows
            )
            yield f"### `{name}`\n\n{of_methods}"
    if large:
        yield "### Large photographs\n\nMegapixels a second of one photograph, in tiles where memory asks for them."
        rows = [
            [f"`{name}`", millions, *(f"{found[millions][how]:.2f}" for how in ("σ told", "σ estimated", "nlm"))]
            for name, found in large.items()
            for millions in found
        ]
        yield table(["bundle", "megapixels", "σ told", "σ estimated", "non-local means"], rows)


def _int8(figures: Figures) -> Iterable[str]:
    known = {name: found for name, found in figures.get("int8", {}).items() if _is_of(figures, name, found)}
    if not known:
        return
    yield "## int8"
    yield (
        "What the graph in int8 is below that of floats, in dB, on the middles of photographs that nothing was trained "
        "on. It is shipped where that is 0.1 at the most and the bundle stays below 2 MB."
    )
    rows = []
    for name, found in known.items():
        cost = found["cost"] or {}
        cells = [f"{cost[f'{s:g}']:.3f}" if cost else "–" for s in DEFAULT_SIGMAS]
        rows.append([f"`{name}`", *cells, f"no: {found['why_not']}" if found["why_not"] else "yes"])
    yield table(["dB lost", *(f"σ = {s:g}" for s in DEFAULT_SIGMAS), "shipped"], rows)


def _is_of(figures: Figures, name: str, found: Figures) -> bool:
    """Whether something was measured of the weights that the rest is of."""
    return bool(found["weights_sha256"] == figures["bundles"].get(name, {}).get("weights_sha256"))


def _jpeg(jpeg: Figures | None) -> Iterable[str]:
    if jpeg is None:
        return
    yield "## Noise that went through JPEG"
    yield (
        f"σ estimated of {jpeg['images']} photographs, in colour, with noise of {jpeg['sigma']:g}, saved as JPEG and "
        "opened again; medians. Compression takes the finest part of the noise, by which the rest is told: say it with "
        "`--sigma N`."
    )
    yield table(
        ["not saved" if q == "none" else f"quality {q}" for q in jpeg["medians"]],
        [[f"{value:.1f}" for value in jpeg["medians"].values()]],
    )


def _memory(memory: Figures) -> Iterable[str]:
    if not memory:
        return
    yield "## Memory"
    some = next(iter(memory.values()))
    ways = list(next(iter(some["megapixels"].values())))
    nothing = " and ".join(f"{found['nothing']['mib']:,.0f}" for found in memory.values())
    yield (
        "The peak of a process of its own, in MiB (VmHWM), and its seconds, Python and onnxruntime included: "
        f"{nothing} MiB with an image of 64×64. By default a tile has a side of {some['usual_tile']} pixels here, by "
        "the memory there is. What still grows is the image itself and its output in floats, which no tiles make "
        "smaller."
    )
    rows = [
        [f"`{name}`", millions, _images(found), *(_peak(found[way]) for way in ways)]
        for name, by_size in memory.items()
        for millions, found in by_size["megapixels"].items()
    ]
    yield table(["bundle", "megapixels", "image and output", *ways], rows)


def _peak(found: Figures | None) -> str:
    return "–" if found is None else f"{found['mib']:,.0f} · {found['seconds']:.1f} s"


def _images(by_way: Figures) -> str:
    """Bytes in, and four times as many out."""
    return next(f"{5 * found['image_mib']:.0f}" for found in by_way.values() if found)


def _training(training: Figures) -> Iterable[str]:
    known = {name: found for name, found in training.items() if found}
    if not known:
        return
    yield "## Training"
    yield (
        "On one core each, both at the same time. The loss (Charbonnier, mean of a pixel) is of patches of photographs "
        "that training held out; the weights of the best epoch are the ones that are shipped."
    )
    epochs = list(next(iter(known.values()))["held_out_loss"])
    rows = [
        [
            f"`{name}`",
            f"{found['epochs']} × {found['steps'] // found['epochs']:,}",
            f"{found['hours']:.1f}",
            f"{found['seconds_an_epoch']:.0f}",
            str(found["best_epoch"]),
            *(f"{found['held_out_loss'][epoch]:.5f}" for epoch in epochs),
        ]
        for name, found in known.items()
    ]
    header = ["bundle", "epochs × steps", "hours", "seconds an epoch, median", "best epoch"]
    yield table([*header, *(f"loss at {epoch}" for epoch in epochs)], rows)


def machine_line(figures: Figures) -> str:
    """On what it was measured."""
    packages = ", ".join(f"{name} {version}" for name, version in figures["packages"].items())
    machine = figures["machine"]
    return f"Measured on {machine['cores']} cores of {machine['processor']}, with {packages}."


def table(header: list[str], rows: list[list[str]]) -> str:
    """Of Markdown."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
