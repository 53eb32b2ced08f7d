"""``aedeploy plot``: one picture of what a model has learned, as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aedeploy.cli.console import Output, reporting
from aedeploy.cli.evaluation_tables import failure_lines
from aedeploy.cli.jobs import SOME_FAILED
from aedeploy.cli.large_imports import large_imports
from aedeploy.cli.options import (
    AllowFailed,
    Backend,
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
from aedeploy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aedeploy.evaluation.images import Failure
    from aedeploy.pictures import Picture, Theme

_SWEEP = "sweep"


@reporting
def plot(
    kind: Annotated[str, typer.Argument(help="What to draw (aedeploy list pictures).")],
    bundle: Annotated[
        str | None,
        typer.Argument(
            metavar="BUNDLE",
            help="A bundle's folder, or its name in artifacts/; for the kind sweep, the folder of one. "
            "Default: the newest in artifacts/.",
        ),
    ] = None,
    *,
    bundle_option: BundleOption = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A .png, .svg or .pdf. Default: BUNDLE-KIND.png, in this folder."),
    ] = None,
    theme: Annotated[str, typer.Option(metavar="light|dark", help="Of the page that it is for.")] = "light",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="What may be chosen of the kind (aedeploy list pictures)."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Images to look at it with: digits, mnist, fashion-mnist, cifar10, or a PATH, whose folders are "
            "labels. Default: the held-out part of what the bundle was trained on, or else the images that it carries.",
        ),
    ] = None,
    data_root: LookedAtRoot = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="At most so many images, evenly spaced. Default: 1,000; for PCA beside a sweep, all."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn at random.")] = 0,
    backend: Backend = None,
    model_format: ModelFormat = None,
    device: Device = "cpu",
    allow_failed: AllowFailed = False,
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Draw what a model has learned, from its exported graphs.

    Reconstructions, the latent space, the manifold of two numbers, interpolations, samples, traversals and more:
    aedeploy list pictures has them all, and what may be chosen of each. Only feature-maps, filters and jacobian need
    PyTorch. All that apply to a bundle, on one page: aedeploy report.

    Examples:

        aedeploy plot latents

        aedeploy plot interpolation artifacts/digits-vae --set start=3 --set stop=8 --out way.svg

        aedeploy plot reconstructions --data photos/ --theme dark

        aedeploy plot sweep sweeps/sizes
    """
    output = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug)
    named = one_bundle(bundle, bundle_option)
    with large_imports():
        from aedeploy.bundle.locate import find_bundle
        from aedeploy.pictures.draw import choices_from, drawn, kind_named
        from aedeploy.pictures.picture import format_of
        from aedeploy.pictures.subject import MOST_IMAGES, Subject
        from aedeploy.pictures.theme import require_matplotlib, theme_named

    kind_named(kind)
    colours = theme_named(theme)
    require_matplotlib()
    choices = choices_from(kind, set_ or ())
    if out is not None:
        format_of(out)
        out.parent.mkdir(parents=True, exist_ok=True)
    failures: tuple[Failure, ...] = ()
    tried = 0
    if kind == _SWEEP:
        of_bundles = {"--seed": seed, "--backend": backend, "--model-format": model_format}
        of_bundles |= {"--device": device != "cpu", "--allow-failed": allow_failed}
        _refuse(of_bundles)
        name, picture = _sweep(named, colours, choices, data, data_root, limit)
        failures, tried = picture.failures, picture.tried
    else:
        found = find_bundle(named)
        output.note(f"Drawing {kind} of {found.path}…")
        options = {"backend": backend, "format": model_format, "device": device, "allow_failed": allow_failed}
        subject = Subject(found, data=data, root=data_root, limit=limit or MOST_IMAGES, seed=seed, **options)
        # The folder's, not the manifest's, which may be anything.
        name, picture = found.path.resolve().name, drawn(kind, subject, choices, colours)
        failures = subject.failures
        tried = len(failures) + len(subject.pixels) if failures else 0
    path = out or Path(f"{name}-{kind}{'-dark' if theme == 'dark' else ''}.png")
    picture.save(path)
    output.result(
        {
            "picture": str(path),
            "kind": kind,
            "bundle": name,
            "reading": picture.reading,
            "figures": picture.figures,
            "notes": list(picture.notes),
            "failures": [{"path": failure.path, "reason": failure.reason} for failure in failures],
        },
        "\n".join(
            [
                f"{path}: {picture.reading}",
                *(f"Note: {note}" for note in picture.notes),
                *failure_lines(failures, tried),
            ]
        ),
    )
    if failures:
        raise typer.Exit(SOME_FAILED)


def _refuse(given: Mapping[str, object]) -> None:
    """Refuse the first option that was given although a sweep is drawn from its table."""
    option = next((option for option, value in given.items() if value), None)
    if option is not None:
        raise ConfigError(f"{option} does not go with the kind sweep, which is drawn from its results: leave it out.")


def _sweep(
    named: str | None, theme: Theme, choices: dict[str, Any], data: str | None, root: Path | None, limit: int | None
) -> tuple[str, Picture]:
    from aedeploy.config import parse
    from aedeploy.pictures.kinds.sweep import Choices, draw_sweep
    from aedeploy.pictures.theme import drawing

    if named is None:
        raise ConfigError("Which sweep? Name its folder:  aedeploy plot sweep SWEEP")
    parse(Choices, choices, "")
    folder = Path(named)
    with drawing(theme):
        return folder.resolve().name, draw_sweep(folder, theme, data=data, root=root, limit=limit)
