"""``aedeploy decode``: latents back to images."""

from __future__ import annotations

from typing import Any

from aedeploy.cli.console import reporting
from aedeploy.cli.job_options import job_options
from aedeploy.cli.jobs import run_command


@reporting
@job_options("decode")
def decode(**options: Any) -> None:
    """Turn latents back into images.

    The images are of the model's own size, in the tree of folders that they came from. Latents of another bundle are
    refused; a row with NaN is listed as failed, and the command ends with exit code 3.

    Examples:

        aedeploy decode latents/ --out decoded/

        aedeploy decode latents/ --out decoded/ --image-format webp --quality 80
    """
    run_command("decode", options)
