"""``aedeploy denoise``: images without their noise."""

from __future__ import annotations

from typing import Any

from aedeploy.cli.console import reporting
from aedeploy.cli.job_options import job_options
from aedeploy.cli.jobs import run_command


@reporting
@job_options("denoise")
def denoise(**options: Any) -> None:
    """Remove the noise from images, such as photographs taken in little light.

    Without --bundle, the denoisers that come with the package: photographs of any size, in colour or grey, at full
    resolution. How much noise there is they estimate; --sigma says it, and --strength leaves some of it in.

    The outputs are in a tree that mirrors the input's, each of its image's own size unless --size model. What is done
    is skipped when the command runs again. A file that cannot be read never stops the job: it is listed, and the
    command ends with exit code 3.

    Examples:

        aedeploy denoise photos/ --out clean/

        aedeploy denoise photos/ --out look/ --strength 0.7 --compare --include "holiday/*"
    """
    run_command("denoise", options)
