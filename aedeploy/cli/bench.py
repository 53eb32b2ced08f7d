"""``aedeploy bench``: what each exported variant costs on this machine, and what it loses, in one table."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aedeploy.cli.console import Output, reporting
from aedeploy.cli.options import BundleArgument, Debug, Json, OwnModule, Quiet, Verbose, trust_own_module
from aedeploy.errors import BundleError, ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from aedeploy.bench import BenchReport
    from aedeploy.bench.contenders import Absence, Variant
    from aedeploy.bundle import Bundle


@reporting
def bench(
    bundle: BundleArgument = None,
    *,
    format: Annotated[
        list[str] | None,
        typer.Option("--format", "-f", help="Measure this format only (aedeploy list formats); may be repeated."),
    ] = None,
    pixels: Annotated[
        list[str] | None,
        typer.Option(metavar="float32|uint8", help="Measure graphs of these pixels only; may be repeated."),
    ] = None,
    all_: Annotated[
        bool,
        typer.Option("--all", help="Export what the bundle does not have, into a copy that is thrown away."),
    ] = False,
    role: Annotated[
        str,
        typer.Option("--graph", metavar="autoencoder|encoder|decoder", help="Which graph is timed."),
    ] = "autoencoder",
    batch: Annotated[int, typer.Option(min=1, help="Images a call, where throughput is measured.")] = 32,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured, in turn with the others.")] = 5,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of each engine. Default: the cores that this process may use.")
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(help="cpu, cuda or mps; may be repeated. Default: cpu. One that is not there is an error."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where bench.json and the charts go. Default: BUNDLE-bench, beside BUNDLE."),
    ] = None,
    module: OwnModule = None,
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Measure what each exported variant costs, and what it loses.

    One table: status, size, load time, latency at batch 1, throughput, peak memory, error, and the PSNR lost. Each
    variant runs in a process of its own, with the same number of threads, in rounds that go over all of them in turn;
    PyTorch beside them where it is installed. Saved as JSON and as a chart; the bundle is left as it is.

    Examples:

        aedeploy bench

        aedeploy bench artifacts/digits-ae --all --batch 64 --threads 1
    """
    from aedeploy.bench.contenders import variants_here
    from aedeploy.bundle.locate import find_bundle
    from aedeploy.cli.bench_table import bench_table

    output = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug)
    _check(role, pixels)
    found = find_bundle(bundle)
    trust_own_module(module)
    target = _folder(found, out)
    with ExitStack() as stack:
        absent: dict[Variant, Absence] = {}
        measured = found
        if all_:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aedeploy-bench-")))
            measured, absent = _export_missing(found, folder, format, pixels, output)
        variants = variants_here(measured, format, pixels)  # type: ignore[arg-type]
        lacking = {*(format or ())} - {name for name, _ in (*variants, *absent)}
        if lacking or not (variants or absent):
            raise _nothing(found, sorted(lacking), pixels)
        report = _measured(
            measured,
            variants,
            output,
            role=role,
            batch=batch,
            rounds=rounds,
            threads=threads,
            devices=device or ["cpu"],
            absent=absent,
            module=module,
        )
    charts = _save(report, target, output)
    output.show(*bench_table(report, output.width))
    files = ["bench.json", *(path.name for path in charts)]
    text = "\n".join([f"{report.headline}.", *report.verdicts, f"{target}/: {', '.join(files)}"])
    output.result({**report.as_dict(), "output": str(target), "files": files}, text)


def _check(role: str, pixels: Sequence[str] | None) -> None:
    from typing import get_args

    from aedeploy.bundle.manifest import ROLES, Pixels

    if role not in ROLES:
        raise ConfigError(f"--graph is one of {', '.join(ROLES)}: {role!r} is not.")
    for one in pixels or ():
        if one not in get_args(Pixels):
            raise ConfigError(f"--pixels is one of {', '.join(get_args(Pixels))}: {one!r} is not.")


def _folder(bundle: Bundle, out: Path | None) -> Path:
    """Where the report goes: made now, since nobody wants to hear of a full or foreign disk after the measuring."""
    from aedeploy.bundle.store import is_installed

    # Of one that came with the package, here: what is beside it is the package.
    beside = Path.cwd() / bundle.path.name if is_installed(bundle) else bundle.path.absolute()
    folder = out or beside.with_name(f"{beside.name}-bench")
    if folder.resolve().is_relative_to(bundle.path.resolve()):
        raise ConfigError(f"--out {folder} is in the bundle, which is left as it is: choose another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _nothing(bundle: Bundle, formats: Sequence[str], pixels: Sequence[str] | None) -> BundleError:
    asked = " ".join([*formats, *(pixels or ())])
    have = ", ".join(sorted({graph.variant for graph in bundle.manifest.graphs})) or "none"
    return BundleError(
        f"Bundle {bundle.name!r} has no {f'{asked} ' if asked else 'exported '}graph to measure (it has {have}): "
        "--all exports what is missing, into a copy."
    )


def _export_missing(
    bundle: Bundle, folder: Path, formats: Sequence[str] | None, pixels: Sequence[str] | None, output: Output
) -> tuple[Bundle, dict[Variant, Absence]]:
    import importlib.util

    from aedeploy.cli.large_imports import large_imports

    for package in ("torch", "onnx", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(package, "train", "Export (--all)")
    with large_imports():
        from aedeploy.export.every import export_missing

    output.note("Exporting what the bundle does not have, into a copy…")
    return export_missing(bundle, folder, formats, pixels)  # type: ignore[arg-type]


def _measured(bundle: Bundle, variants: Sequence[Variant], output: Output, **options: object) -> BenchReport:
    """Measure, with a bar on a terminal."""
    from contextlib import closing

    from rich import progress

    from aedeploy.bench import BenchReport, benchmark

    output.note(f"Measuring {bundle.name}: PyTorch where it is, and {', '.join(_names(variants)) or 'nothing else'}…")
    shown = output.messages
    with (
        closing(benchmark(bundle, variants, **options)) as events,  # type: ignore[type-var, arg-type]
        progress.Progress(console=shown, transient=True, disable=not shown.is_terminal) as bar,
    ):
        task = bar.add_task("bench", total=None)
        for event in events:
            if isinstance(event, BenchReport):
                return event
            bar.update(task, description=event.what, completed=event.done, total=event.total)
    raise AssertionError  # a generator that did not raise has ended with its report


def _names(variants: Sequence[Variant]) -> list[str]:
    from aedeploy.bundle.manifest import variant_name

    return [variant_name(format, pixels) for format, pixels in variants]


def _save(report: BenchReport, folder: Path, output: Output) -> list[Path]:
    """Write the report, and its chart for light and for dark pages; give the charts' paths."""
    from aedeploy.files import write_json
    from aedeploy.report.bench_chart import write_bench_charts

    write_json(folder / "bench.json", report.as_dict())
    try:
        return write_bench_charts(report, folder)
    except MissingDependencyError as error:
        output.note(f"No chart is drawn. {error}")
        return []
