"""Virtual environments made by tests: empty ones, with exactly what a test installs into them."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest

#: What pip says when it reaches no index, and when the index has nothing for this Python and platform.
_NO_INDEX = "(from versions: none)"
_NO_MATCH = "No matching distribution found"


def pip(arguments: Sequence[str | Path], *, into: Path | None = None, may_be_absent: bool = False) -> None:
    """Run pip, for the environment ``into`` where one is given; skip the test where no index is in reach.

    ``may_be_absent``: skip as well where the index has no such release for this Python and platform. Anything else
    that goes wrong, such as a package of ours that does not build, fails the test.
    """
    target = [] if into is None else ["--python", python_of(into)]
    command = [sys.executable, "-m", "pip", *target, *arguments]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, env=clean())
    if done.returncode and (_NO_INDEX in done.stderr or (may_be_absent and _NO_MATCH in done.stderr)):
        pytest.skip(f"pip cannot install this here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stdout + done.stderr


def new_environment(path: Path) -> Path:
    """An empty virtual environment, without even pip."""
    venv.create(path, with_pip=False, symlinks=os.name != "nt")
    return path


def python_of(environment: Path) -> Path:
    """The environment's interpreter."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def clean() -> dict[str, str]:
    """This process's environment variables, without those that would let packages in from elsewhere."""
    elsewhere = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    return {name: value for name, value in os.environ.items() if name not in elsewhere}
