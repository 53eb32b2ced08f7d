"""``aedeploy demo``: the whole chain on the embedded digits."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aedeploy.cli.console import Output, reporting
from aedeploy.cli.large_imports import large_imports
from aedeploy.cli.options import Debug, Json, Quiet, Verbose
from aedeploy.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    import numpy as np

    from aedeploy.bundle import Bundle
    from aedeploy.jobs.spec import JobName
    from aedeploy.parity.report import ParityReport
    from aedeploy.training.events import Ended

#: One model for every job: a latent vector of 32 numbers, trained to give clean digits back for noisy ones.
_VARIANT = "denoising"
_OVERRIDES = ("model.backbone.latent=vector", "model.latent_dim=32", "training.epochs=6")
_FORMATS = ("onnx", "torchscript")
_IMAGES = 200
_SIGMA = 0.3


@reporting
def demo(
    *,
    out: Annotated[Path, typer.Option(help="The bundle's folder; images and latents go beside it.")] = Path(
        "artifacts/demo"
    ),
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Run the whole chain on the embedded digits.

    Train, export, prove, encode, decode, reconstruct, denoise. It needs no network and no data, and takes under a
    minute on two cores. Run again, it replaces what it wrote.

    Example:

        aedeploy demo
    """
    import importlib.util

    output = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug)
    for package in ("torch", "onnx", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(package, "train", "The demo")
    from aedeploy.cli.parity_tables import parity_table

    with large_imports():
        from aedeploy.export import export_bundle

    begun = time.perf_counter()
    files = out.parent / f"{out.name}-files"
    if out.exists() and not files.is_dir():
        raise ConfigError(f"{out} is there already and no demo made it: name another folder with --out.")
    files.mkdir(parents=True, exist_ok=True)
    output.note(f"1/4 Training {_VARIANT} on 9,000 digits (noise of σ up to 0.6, a latent of 32 numbers) …")
    trained = _train(out, output)
    output.note("2/4 Exporting encoder, decoder and autoencoder as ONNX and TorchScript, and proving them …")
    exported = export_bundle(trained.bundle, _FORMATS)
    assert exported.parity is not None  # it was asked for, and a failed one raises
    output.note(f"3/4 Writing {_IMAGES} held-out digits, and the same with noise, as PNG files …")
    clean = _write_images(files)
    output.note("4/4 Encoding, decoding, reconstructing and denoising them, without PyTorch …")
    jobs = {
        "encode": _job("encode", exported.bundle, files / "images", files / "latents"),
        "decode": _job("decode", exported.bundle, files / "latents", files / "decoded"),
        "reconstruct": _job("reconstruct", exported.bundle, files / "images", files / "reconstructed"),
        "denoise": _job("denoise", exported.bundle, files / "noisy", files / "denoised"),
    }
    psnr = {name: round(_psnr(_read_images(files / name), clean), 2) for name in ("reconstructed", "noisy", "denoised")}
    picture = _write_picture(files)
    seconds = round(time.perf_counter() - begun, 1)
    output.show(parity_table(exported.parity, output.width))
    output.result(
        {
            "bundle": str(out),
            "train": {"epochs": trained.epochs, "train_loss": trained.train_loss, "test": dict(trained.metrics)},
            "graphs": [g.file.path for g in exported.graphs],
            "parity": {"passed": bool(exported.parity), "max_error": _largest_error(exported.parity)},
            "jobs": jobs,
            "psnr": psnr,
            "files": str(files),
            "picture": str(picture),
            "seconds": seconds,
        },
        _summary(out, files, picture, trained, exported.parity, jobs, psnr, seconds),
    )


def _train(out: Path, output: Output) -> Ended:
    from aedeploy.cli.training_progress import train_with_progress
    from aedeploy.recipes import load_recipe
    from aedeploy.training.config import TrainConfig

    config = TrainConfig(recipe=load_recipe(_VARIANT, _OVERRIDES), out=out, overwrite=out.exists())
    ended = train_with_progress(config, output)
    assert ended is not None  # the demo is one process
    if not ended.completed:
        raise KeyboardInterrupt
    return ended


def _write_images(files: Path) -> np.ndarray:
    """Held-out digits as PNGs, clean and noisy; the clean ones as uint8 [N, H, W, C]."""
    import numpy as np

    from aedeploy.data import digits
    from aedeploy.images.write import write_png

    clean = digits().held_out[:_IMAGES]
    noise = np.random.default_rng(0).normal(0.0, _SIGMA * 255, clean.shape)
    noisy = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
    for name, images in (("images", clean), ("noisy", noisy)):
        (files / name).mkdir(parents=True, exist_ok=True)
        for index, pixels in enumerate(images):
            write_png(files / name / f"{index:03d}.png", pixels)
    return clean


def _job(job: JobName, bundle: Bundle, source: Path, target: Path) -> dict[str, Any]:
    """Run one batch job, in place of what an earlier demo left."""
    from aedeploy.jobs.plan import plan_job
    from aedeploy.jobs.request import JobRequest
    from aedeploy.jobs.run import Summary, run_job

    request = JobRequest(job=job, bundle=bundle, source=source, output=target, overwrite=target.exists())
    (summary,) = (event for event in run_job(plan_job(request)) if isinstance(event, Summary))
    return summary.as_dict()


def _read_images(folder: Path) -> np.ndarray:
    """The demo's images of a folder, in order: uint8 [N, H, W, C]."""
    import numpy as np

    from aedeploy.images.geometry import Geometry
    from aedeploy.images.read import read_image

    geometry = Geometry(mode="L", height=28, width=28)
    return np.stack([geometry.apply(read_image(folder / f"{i:03d}.png", "L")) for i in range(_IMAGES)])


def _psnr(images: np.ndarray, clean: np.ndarray) -> float:
    """Of 8-bit images, dB, over all of them together."""
    import numpy as np

    error = np.mean((images.astype(np.float64) - clean) ** 2)
    return float(10 * np.log10(255**2 / error))


def _write_picture(files: Path) -> Path:
    """Twelve digits, a row for each stage: clean, noisy, denoised, reconstructed from the clean one."""
    import numpy as np

    from aedeploy.images.geometry import resized
    from aedeploy.images.write import write_png

    names = ("images", "noisy", "denoised", "reconstructed")
    rows = [np.concatenate(list(_read_images(files / name)[:12]), axis=1) for name in names]
    grid = np.concatenate(rows)
    path = files / "demo.png"
    write_png(path, resized(grid, (grid.shape[1] * 3, grid.shape[0] * 3)))
    return path


def _largest_error(report: ParityReport) -> float:
    return max(worst.max_abs or 0.0 for graph in report.graphs for worst in graph.worst())


def _summary(
    out: Path,
    files: Path,
    picture: Path,
    trained: Ended,
    parity: ParityReport,
    jobs: Mapping[str, Mapping[str, Any]],
    psnr: Mapping[str, float],
    seconds: float,
) -> str:
    cases = sum(len(graph.cases) for graph in parity.graphs)
    rates = ", ".join(f"{name} {job['images_per_second']:,.0f}/s" for name, job in jobs.items())
    return "\n".join(
        [
            f"Done in {seconds:.0f} s.",
            f"  trained      {trained.epochs} epochs; held-out MSE {trained.metrics['mse']:.4f}",
            f"  proven       {cases} comparisons with PyTorch, largest error {_largest_error(parity):.1e}",
            f"  denoised     {psnr['noisy']:.1f} dB → {psnr['denoised']:.1f} dB; "
            f"reconstructed from 32 numbers: {psnr['reconstructed']:.1f} dB",
            f"  jobs         {rates}",
            f"  the bundle   {out}  (its README.md says how to use it)",
            f"  the files    {files}: images, noisy, latents, decoded, reconstructed, denoised",
            f"  a picture    {picture}",
        ]
    )
