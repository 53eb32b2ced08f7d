"""``aedeploy reconstruct``: every image through the whole autoencoder."""

from __future__ import annotations

from typing import Any

from aedeploy.cli.console import reporting
from aedeploy.cli.job_options import job_options
from aedeploy.cli.jobs import run_command


@reporting
@job_options("reconstruct")
def reconstruct(**options: Any) -> None:
    """Run images through the whole autoencoder.

    The outputs are in a tree that mirrors the input's, each of its image's own size unless --size model. What is done
    is skipped when the command runs again. A file that cannot be read never stops the job: it is listed, and the
    command ends with exit code 3.

    Examples:

        aedeploy reconstruct photos/ --out reconstructed/

        aedeploy reconstruct parts/ --out scores/ --score --calibrate good/
    """
    run_command("reconstruct", options)
