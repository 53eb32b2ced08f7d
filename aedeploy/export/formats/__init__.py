"""File formats: one module each, its first docstring line its description, with

SUFFIX: str               of a graph's file
OPTIONS: tuple[str, ...] the export options that it takes, by their names on the command line without the dashes
def missing() -> str | None   the package that writing it needs beside torch and onnx; None: it is there
def write(graph: Graph, path: Path, options: Mapping[str, object]) -> Written

SUFFIX and OPTIONS are written out as literals, so that they can be listed without importing torch. Modules whose names
begin with _ are no formats. What runs a format is the business of the backend that names it (runtime/backends).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aedeploy.bundle import Quantisation


@dataclass(frozen=True, kw_only=True)
class Written:
    """What is true of the file that was written, read back from it."""

    producer: dict[str, str]
    opset: int | None = None
    ir_version: int | None = None
    quantisation: Quantisation | None = None
    oldest_runtime: str | None = None
    data: Path | None = None  # a second file, in the same folder
