"""An evaluation as tables, a family each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING

from aedeploy.cli.console import counted
from aedeploy.cli.tables import add_row, columns

if TYPE_CHECKING:
    from rich.table import Table

    from aedeploy.evaluation import Evaluation
    from aedeploy.evaluation.codebook import CodebookFigures
    from aedeploy.evaluation.denoising import DenoisingEvaluation
    from aedeploy.evaluation.denoising.estimate import AutoFigures
    from aedeploy.evaluation.gaussian import GaussianFigures
    from aedeploy.evaluation.images import Failure
    from aedeploy.evaluation.noise import NoiseFigures
    from aedeploy.evaluation.result import LatentFigures
    from aedeploy.evaluation.sparsity import SparsityFigures

_UNITS_SHOWN = 32
_FAILURES_SHOWN = 10
_BCE, _BCE_NATS = "BCE, nats a pixel", "BCE, nats an image"


def evaluation_tables(result: Evaluation) -> Iterator[Table]:
    """The reconstruction beside what it is held against, then what applies to the model."""
    yield _reconstruction(result)
    if result.latent is not None:
        yield _pairs("latent", _latent(result.latent, result.data.image_shape))
    if result.gaussian is not None:
        yield _pairs("gaussian latent", _gaussian(result.gaussian))
    if result.codebook is not None:
        yield _pairs("codebook", _codebook(result.codebook))
    if result.sparsity is not None:
        yield _pairs("sparsity", _sparsity(result.sparsity))
    if result.denoising:
        yield _denoising(result.denoising)


def denoising_tables(result: DenoisingEvaluation) -> Iterator[Table]:
    """Every method at every σ; then, of a model that can be told nothing, what it makes of that."""
    names = ("σ", "method", "PSNR, dB", "SSIM", "seconds an image", "megapixels a second")
    title = f"{result.bundle}, {counted(result.images, 'image')} of {result.data}, {result.megapixels:,.1f} megapixels"
    table = columns(title, names, right={*names} - {"method"})
    before = None
    for at in result.results:
        sigma = "" if at.sigma == before else f"{at.sigma:g}"
        speed = (at.seconds, at.megapixels_per_second)
        add_row(table, sigma, at.method, _decibels(at.psnr), _figure(at.ssim), *map(_figure, speed))
        before = at.sigma
    yield table
    if result.auto is not None:
        yield _estimates(result.auto)
        yield _pairs("a clean image, σ estimated", _clean(result.auto))


def failure_lines(failures: Sequence[Failure], images: int) -> Iterator[str]:
    """Which of so many images could not be read, the first of them by name."""
    if failures:
        yield f"{len(failures):,} of {counted(images, 'file')} could not be read:"
    for failure in failures[:_FAILURES_SHOWN]:
        yield f"  failed   {failure.path}: {failure.reason}"
    if len(failures) > _FAILURES_SHOWN:
        yield f"  … and {len(failures) - _FAILURES_SHOWN:,} more: --json lists all of them"


def _reconstruction(result: Evaluation) -> Table:
    ours, against = result.reconstruction, result.baselines
    figures = {
        "model": {
            "MSE": _figure(ours.mse),
            "MAE": _figure(ours.mae),
            "PSNR, dB": _decibels(ours.psnr),
            "PSNR, mean of the images' own, dB": _decibels(ours.psnr_images),
            "SSIM": _figure(ours.ssim),
        }
    }
    if against.pca is not None:
        name = f"PCA-{against.pca.components}{'' if against.pca.bits is None else ', 8 bits each'}"
        figures[name] = {"MSE": _figure(against.pca.mse), "PSNR, dB": _decibels(against.pca.psnr)}
    if against.mean_image_mse is not None:
        figures["mean image"] = {"MSE": _figure(against.mean_image_mse), _BCE: _figure(against.mean_image_bce)}
    if ours.bce is not None:
        figures["model"] |= {_BCE: _figure(ours.bce), _BCE_NATS: _figure(ours.bce_nats)}
        figures["floor"] = {_BCE: _figure(against.bce_floor), _BCE_NATS: _figure(against.bce_floor_nats)}
    title = f"{result.bundle}, {counted(result.data.images, 'image')} of {result.data.name}"
    table = columns(title, ("", *figures), right=figures)
    for row in figures["model"]:
        add_row(table, row, *(column.get(row, "") for column in figures.values()))
    return table


def _latent(latent: LatentFigures, image_shape: tuple[int, ...]) -> dict[str, str]:
    return {
        "numbers": f"{latent.numbers:,} ({' × '.join(map(str, latent.shape))})",
        "image values a number": f"{latent.numbers_ratio:.4g} (of {' × '.join(map(str, image_shape))})",
        "bits an image": f"{latent.bits:,.6g} (of {8 * prod(image_shape):,})",
        "compression ratio, bits": _figure(latent.compression_ratio),
    }


def _gaussian(gaussian: GaussianFigures) -> dict[str, str]:
    ranked = sorted(gaussian.kl_by_unit, key=lambda nats: -1.0 if nats is None else nats, reverse=True)
    more = f" … and {len(ranked) - _UNITS_SHOWN} more" if len(ranked) > _UNITS_SHOWN else ""
    rows = {
        "KL, nats an image": _figure(gaussian.kl_nats),
        "KL by unit, largest first": " ".join(_short(nats) for nats in ranked[:_UNITS_SHOWN]) + more,
        "active units (variance of the mean > 0.01)": f"{gaussian.active_units} of {gaussian.units}",
        "active units (KL > 0.01 nats)": f"{gaussian.active_units_kl} of {gaussian.units}",
    }
    if gaussian.reconstruction_nats is not None:
        parts = f" = −({_figure(gaussian.reconstruction_nats)} + {_figure(gaussian.kl_nats)})"
        rows["ELBO, nats an image, one sample each"] = _figure(gaussian.elbo_nats) + parts
    return rows


def _codebook(codebook: CodebookFigures) -> dict[str, str]:
    return {
        "entries used": f"{codebook.used:,} of {codebook.size:,} ({codebook.used_share:.1%})",
        "perplexity": _figure(codebook.perplexity),
        "bits an image": f"{codebook.bits:.6g} ({codebook.indices:,} indices)",
        "bits an image, by an ideal code": f"{codebook.entropy_bits:.6g}",
    }


def _sparsity(sparsity: SparsityFigures) -> dict[str, str]:
    return {
        "zeros": f"{sparsity.zeros:.1%}",
        "L0, non-zeros an image": _figure(sparsity.l0),
        "mean activation": _figure(sparsity.mean_activation),
        "dead units": f"{sparsity.dead_units:,} of {sparsity.units:,}",
    }


def _denoising(figures: tuple[NoiseFigures, ...]) -> Table:
    names = ("σ", "noisy PSNR, dB", "PSNR, dB", "gain, dB", "PSNR by image, dB", "noisy SSIM", "SSIM")
    table = columns("noise removed", names, right=names)
    for at in figures:
        decibels = (at.noisy_psnr, at.psnr, at.gain, at.psnr_images)
        similar = (at.noisy_ssim, at.ssim)
        add_row(table, f"{at.sigma:g}", *map(_decibels, decibels), *map(_figure, similar))
    return table


def _estimates(auto: AutoFigures) -> Table:
    names = ("σ", "of", "estimated", "mean error", "worst error", "within 10 %")
    table = columns("σ as it is estimated", names, right={*names} - {"of"})
    for at in auto.estimates:
        errors = (f"{at.mean_error:.1%}", f"{at.worst_error:.1%}")
        add_row(table, f"{at.sigma:g}", at.given, f"{at.mean:.2f}", *errors, f"{at.near} of {at.images}")
    return table


def _clean(auto: AutoFigures) -> dict[str, str]:
    clean = auto.clean
    return {
        "PSNR to itself, dB: lowest, median": f"{_untouched(clean.lowest_psnr)}, {_untouched(clean.median_psnr)}",
        "40 dB or more": f"{clean.untouched} of {clean.images}",
        "σ estimated: mean, most": f"{clean.sigma:.2f}, {clean.worst_sigma:.2f}",
    }


def _untouched(psnr: float | None) -> str:
    return "unchanged" if psnr is None else _decibels(psnr)


def _pairs(title: str, rows: Mapping[str, str]) -> Table:
    table = columns(title, ("", ""))
    table.show_header = False
    table.columns[0].no_wrap = True
    for name, value in rows.items():
        add_row(table, name, value)
    return table


def _figure(value: float | None) -> str:
    """Four digits that count, trailing zeros too."""
    return "" if value is None else f"{value:#.4g}".rstrip(".")


def _decibels(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _short(value: float | None) -> str:
    return "∞" if value is None else f"{value:.2f}"
