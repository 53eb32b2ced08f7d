"""The commands, put together. Each is in a file of its own name; nothing heavy is imported until one runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from aedeploy import __version__
from aedeploy.cli import (
    bench,
    conform,
    decode,
    demo,
    denoise,
    embed,
    encode,
    evaluate,
    export,
    inspect,
    jobs_command,
    list_,
    parity,
    plot,
    reconstruct,
    report,
    sweep,
    train,
    verify,
)
from aedeploy.cli.console import INTERRUPTED, Output, speak_any_name
from aedeploy.cli.job_options import JobCommand

app = typer.Typer(
    name="aedeploy",
    help="Train autoencoders, cut them into encoder and decoder, export them, prove it, run them over folders.",
    no_args_is_help=True,
    # Plain help: the rendering of rich help alone takes as long as everything else up to there.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"aedeploy {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


app.command("train")(train.train)
app.command("sweep")(sweep.sweep)
app.command("export")(export.export)
app.command("parity")(parity.parity)
app.command("verify")(verify.verify)
app.command("inspect")(inspect.inspect)
app.command("evaluate")(evaluate.evaluate)
app.command("bench")(bench.bench)
app.command("report")(report.report)
app.command("plot")(plot.plot)
app.command("embed")(embed.embed)
app.command("conform", cls=conform.ConformCommand)(conform.conform)
app.command("encode", cls=JobCommand)(encode.encode)
app.command("decode", cls=JobCommand)(decode.decode)
app.command("reconstruct", cls=JobCommand)(reconstruct.reconstruct)
app.command("denoise", cls=JobCommand)(denoise.denoise)
app.add_typer(jobs_command.jobs, name="jobs")
app.command("list")(list_.list_)
app.command("demo")(demo.demo)


def main() -> None:
    """Entry point of the command ``aedeploy``."""
    speak_any_name()
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        code = INTERRUPTED
    except Exception as error:
        # Typer's own, for arguments that it could not make sense of; its class is not public.
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        code = getattr(error, "exit_code", 2)
        if "--json" in sys.argv:
            message = error.format_message() if hasattr(error, "format_message") else str(error)
            output = Output(json=True, quiet=True, verbose=False, debug=False)
            output.result({"error": {"type": "UsageError", "message": message}, "exit_code": code})
    sys.exit(code if isinstance(code, int) else 0)
