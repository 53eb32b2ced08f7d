"""File formats: one module each, its first docstring line its description, with

SUFFIX: str              of a graph's file
OPTIONS: frozenset[str]  the export options that it takes
def write(graph: Graph, path: Path, options: Mapping[str, object]) -> Written
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Written:
    """What is true of the file that was written, read back from it."""

    producer: dict[str, str]
    opset: int | None = None
    ir_version: int | None = None
    quantisation: str | None = None
    oldest_runtime: str | None = None
