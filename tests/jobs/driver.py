"""A job in a process of its own, which a test can kill: ``python driver.py '{"job": …}'`` prints its summary."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from aedeploy.bundle import open_bundle
from aedeploy.errors import AedeployError
from aedeploy.jobs.plan import plan_job
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.run import Summary, run_job


def main() -> None:
    options = json.loads(sys.argv[1])
    options["bundle"] = open_bundle(options["bundle"])
    options["output"] = Path(options["output"])
    if "part" in options:
        options["part"] = tuple(options["part"])
    try:
        for event in run_job(plan_job(JobRequest(**options))):
            if isinstance(event, Summary):
                sys.stdout.write(json.dumps(event.as_dict()) + "\n")
    except AedeployError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
