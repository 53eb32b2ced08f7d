"""Node programs for tests: written, with their packages linked in, and run."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aedeploy.bundle import Bundle
from aedeploy.embed import write_program

_ROOT = Path(__file__).resolve().parents[2]

#: Where ``make embed-tools`` puts npm packages.
NODE_MODULES = _ROOT / ".tools" / "node_modules"

#: The modules that the programs in JavaScript share.
JAVASCRIPT = _ROOT / "aedeploy" / "embed" / "sources" / "javascript"


def require_node(*packages: str) -> None:
    """Skip where node, or one of these npm packages, is not here."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed (make embed-tools)")
    for package in packages:
        if not (NODE_MODULES / package).is_dir():
            pytest.skip(f"the npm package {package} is not in .tools (make embed-tools)")


def write_node_program(bundle: Bundle, folder: Path, format: str | None = None) -> Path:
    """A program around a bundle, ready to run: as if npm had installed its packages."""
    require_node("onnxruntime-node", "sharp")
    written = write_program("node", bundle, folder, format=format).folder
    (written / "node_modules").symlink_to(NODE_MODULES)
    return written


def run(folder: Path, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of a program."""
    command = ["node", folder / "main.js", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd)


def evaluate(folder: Path, program: str, given: Any = None) -> Any:
    """What a piece of JavaScript prints as JSON, run beside a program's modules; ``given`` is its stdin, as JSON."""
    ran = subprocess.run(
        ["node", "--input-type=module", "--eval", program],
        cwd=folder,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def encoded(array: np.ndarray) -> str:
    """The bytes of an array, in base64: JSON has no NaN, and no integers of 64 bits."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def decoded(text: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)
