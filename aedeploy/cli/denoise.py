"""``aedeploy denoise``: images without their noise."""

from __future__ import annotations

from typing import Any

from aedeploy.cli.console import reporting
from aedeploy.cli.job_options import job_options
from aedeploy.cli.jobs import run_command


@reporting
@job_options("denoise")
def denoise(**options: Any) -> None:
    """Remove the noise from images.

    The outputs are in a tree that mirrors the input's, each of its image's own size unless --size model. What is done
    is skipped when the command runs again. A file that cannot be read never stops the job: it is listed, and the
    command ends with exit code 3.

    Example:

        aedeploy denoise scans/ --out clean/ --bundle digits-denoising
    """
    run_command("denoise", options)
