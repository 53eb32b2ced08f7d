"""``aedeploy verify``: is this bundle whole, and does it compute what it did? Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from aedeploy.cli.console import Output, reporting
from aedeploy.cli.golden_table import golden_table
from aedeploy.cli.options import BundleArgument, Debug, Json, Quiet, Verbose
from aedeploy.cli.tables import add_row, columns, mark
from aedeploy.errors import IntegrityError

if TYPE_CHECKING:
    from rich.table import Table

    from aedeploy.bundle import Bundle
    from aedeploy.parity.verify import VerifyReport


@reporting
def verify(
    bundle: BundleArgument = None,
    *,
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Check a bundle's checksums and golden vectors.

    Every file is held against the digest in the manifest, and every graph whose engine is installed is run on the
    golden vectors: real images and what PyTorch made of them. Anything off ends the command with exit code 5. Needs
    no torch.

    Example:

        aedeploy verify artifacts/digits-ae
    """
    from aedeploy.bundle.locate import find_bundle
    from aedeploy.parity.verify import verify_bundle

    output = Output(json=json_, quiet=quiet, verbose=verbose, debug=debug)
    found = find_bundle(bundle)
    report = verify_bundle(found)
    output.show(*_tables(found, report))
    output.detail(f"Model {found.manifest.digest}, created {found.manifest.provenance.created}")
    for result in report.results:
        if result.passed is None:
            output.note(f"{result.subject}: {result.reason}")
    for text in _asked_for(report):
        output.note(text)
    well = f"{found.path} verifies: every file is as it was written, every golden vector agrees."
    output.result(report.as_dict(), well if report else None)
    if not report:
        output.error(f"Bundle {found.name!r} does not verify: {'; '.join(report.failures())}.")
        raise typer.Exit(IntegrityError.exit_code)


def _asked_for(report: VerifyReport) -> Iterator[str]:
    """By format, which tolerances are not the usual ones."""
    from aedeploy.parity.tolerances import describe_overrides

    by_format = {subject.partition(" ")[0]: overrides for subject, overrides in report.overrides.items()}
    for format, overrides in by_format.items():
        asked = describe_overrides(overrides, [format])
        yield f"{format}: verified by the tolerances that its parity check was given: {asked}"


def _tables(bundle: Bundle, report: VerifyReport) -> Iterator[Table]:
    """The files, and what the graphs made of the golden vectors."""
    files = columns(str(bundle.path), ("file", ""))
    for result in report.results:
        if result.check == "file":
            add_row(files, result.subject, mark(result.passed))
    yield files
    golden = [result for result in report.results if result.check != "file"]
    if golden:
        yield golden_table(golden)
