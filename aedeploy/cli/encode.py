"""``aedeploy encode``: images to latents."""

from __future__ import annotations

from typing import Any

from aedeploy.cli.console import reporting
from aedeploy.cli.job_options import job_options
from aedeploy.cli.jobs import run_command


@reporting
@job_options("encode")
def encode(**options: Any) -> None:
    """Turn images into latents.

    The files in --out have a row for every image: its path, its latent, and what else the encoder gives. Run it again
    and it does what is missing or failed; what is done is skipped. A file that cannot be read never stops the job:
    it is listed, and the command ends with exit code 3.

    Examples:

        aedeploy encode photos/ --out latents/

        aedeploy encode photos/ --out latents/ --dry-run

        find photos -name '*.jpg' | aedeploy encode - --out latents/ --format npy --dtype float16
    """
    run_command("encode", options)
