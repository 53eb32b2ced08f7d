"""``aedeploy evaluate``: what a bundle is worth, measured on the graphs that ship."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aedeploy.cli.console import Output, counted, reporting
from aedeploy.cli.jobs import SOME_FAILED
from aedeploy.cli.options import (
    AllowFailed,
    BundleArgument,
    BundleOption,
    Debug,
    Device,
    Json,
    LookedAtRoot,
    ModelFormat,
    Quiet,
    Verbose,
    one_bundle,
)
from aedeploy.errors import BackendError, ConfigError

if TYPE_CHECKING:
    from aedeploy.bundle import Bundle
    from aedeploy.evaluation import Evaluation
    from aedeploy.evaluation.images import EvaluationImages
    from aedeploy.runtime.codec import Codec


@reporting
def evaluate(
    bundle: BundleArgument = None,
    *,
    bundle_option: BundleOption = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="digits, mnist, fashion-mnist, cifar10, or a PATH: a folder of images or idx files, or an .npz. "
            "Default: what the bundle was trained on.",
        ),
    ] = None,
    data_root: LookedAtRoot = None,
    backend: Annotated[
        str | None,
        typer.Option(help="What runs the graphs (aedeploy list backends); eager measures the weights themselves."),
    ] = None,
    model_format: ModelFormat = None,
    device: Device = "cpu",
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many images, evenly spaced.")] = None,
    sigma: Annotated[
        list[str] | None,
        typer.Option(
            metavar="S[,S]…",
            help="Remove noise of this σ, in units of [0, 1]; repeatable. A denoising bundle: 0.1,0.25,0.5. "
            "With --denoising in levels of 255: 15,25,50.",
        ),
    ] = None,
    no_pca: Annotated[bool, typer.Option("--no-pca", help="Fit no PCA and no mean image to compare with.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise, and of the samples behind an ELBO.")] = 0,
    denoising: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Measure the removal of noise only, on these images at full size, by the protocol of the literature.",
        ),
    ] = None,
    told: Annotated[
        str | None,
        typer.Option(
            metavar="sigma|auto",
            help="With --denoising: a model that takes σ is told the true one (default), or estimates it.",
        ),
    ] = None,
    baselines: Annotated[
        str | None,
        typer.Option(
            metavar="bm3d,nlm|none",
            help="With --denoising: the classical methods beside it. Default: those whose packages are installed.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="With --denoising: where the figures of every image go. Default: artifacts/BUNDLE-denoising.",
        ),
    ] = None,
    allow_failed: AllowFailed = False,
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Measure what a bundle is worth, on the graphs that ship.

    MSE, MAE, PSNR, SSIM and BCE; by family KL, active units and ELBO, the use of a codebook, sparsity, what is left of
    noise; beside them PCA of the same size, the mean image and the least BCE there can be. On the test part of the
    data where it has one. A file that cannot be read is listed, and the command ends with exit code 3. Needs no torch.

    With --denoising: PSNR, SSIM, seconds and megapixels a second at each σ, beside BM3D and non-local means where their
    packages are installed (the extra denoise-baselines).

    Examples:

        aedeploy evaluate

        aedeploy evaluate artifacts/mnist-vae --data mnist --data-root data/ --backend eager

        aedeploy evaluate --data photos/ --sigma 0.05 --sigma 0.1 --json

        aedeploy evaluate denoiser-gray --denoising bsd68/ --sigma 15,25,50
    """
    from aedeploy.bundle.locate import find_bundle
    from aedeploy.cli.evaluate_denoising import numbers, run_denoising
    from aedeploy.evaluation.find import find_images

    output = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug)
    found = find_bundle(one_bundle(bundle, bundle_option))
    sigmas = numbers(sigma)
    if denoising is None:
        of_denoising = {"--told": told, "--baselines": baselines, "--out": out}
        _refuse(of_denoising, "goes with --denoising DIR: add that, or leave it out.")
    else:
        of_others = {"--data": data, "--data-root": data_root, "--no-pca": no_pca or None}
        _refuse(of_others, "does not go with --denoising DIR, which names its images itself: leave it out.")
    with _codec(found, backend, model_format, device, allow_failed=allow_failed) as codec:
        if denoising is not None:
            failed = run_denoising(
                codec, denoising, output, sigmas=sigmas, told=told, baselines=baselines, seed=seed, limit=limit, out=out
            )
        else:
            images = find_images(found, data, root=data_root, limit=limit)
            shown = counted(len(images.test), "image")
            output.note(f"Measuring {found.path} by {codec.backend} on {images.name}: {shown} ({images.part})…")
            result = _measured(codec, images, output, sigmas=sigmas, pca=not no_pca, seed=seed)
            failed = _said(result, len(images.test), output)
    if failed:
        raise typer.Exit(SOME_FAILED)


def _refuse(given: Mapping[str, object], because: str) -> None:
    """Refuse the first option that was given, where it has no meaning."""
    for option, value in given.items():
        if value is not None:
            raise ConfigError(f"{option} {because}")


def _codec(bundle: Bundle, backend: str | None, format: str | None, device: str, *, allow_failed: bool) -> Codec:
    from aedeploy.runtime.codec import load

    try:
        return load(bundle, backend=backend, format=format, device=device, allow_failed=allow_failed)
    except BackendError as error:
        if bundle.manifest.graphs:
            raise
        raise BackendError(f"{error}  (or measure its weights:  --backend eager)") from None


def _measured(
    codec: Codec, images: EvaluationImages, output: Output, *, sigmas: list[float] | None, pca: bool, seed: int
) -> Evaluation:
    """Measure, with a bar on a terminal."""
    from rich import progress

    from aedeploy.evaluation import Evaluation
    from aedeploy.evaluation.run import evaluation

    events = evaluation(codec, images, sigmas=sigmas, pca=pca, seed=seed)
    shown = output.messages
    with progress.Progress(console=shown, transient=True, disable=not shown.is_terminal) as bar:
        task = bar.add_task("evaluate", total=len(images.test))
        for event in events:
            if isinstance(event, Evaluation):
                return event
            bar.update(task, completed=event.done)
    raise AssertionError  # a generator that did not raise has ended with it


def _said(result: Evaluation, images: int, output: Output) -> bool:
    """Say what was measured; whether files failed."""
    from aedeploy.cli.evaluation_tables import evaluation_tables, failure_lines

    for note in result.notes:
        output.note(f"Note: {note}")
    output.show(*evaluation_tables(result))
    verdict = f"{result.verdict[0].upper()}{result.verdict[1:]}."
    output.result(result.as_dict(), "\n".join([verdict, *failure_lines(result.failures, images)]))
    return bool(result.failures)
