"""pnnx, ncnn's converter: a program of its own, from a TorchScript file to ncnn's two files."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aedeploy.errors import ExportError

#: Seconds. It takes one or two for the models of the recipes.
_PATIENCE = 900

#: What it calls the axis of the batch of a blob that keeps it, among all the others.
_KEPT = 233

_INPUTS = ("inputshape", "inputshape2")

#: How the program that it writes to try its result out gives a blob in, and takes one out.
_BLOB = re.compile(r"\b(?P<name>(?:in|out)\d+)\.numpy\((?:\), )?batch_index=(?P<axis>-?\d+)\)")

#: What it prints and goes on, with a graph that computes something else.
_GAVE_UP = re.compile(r"^.*\b(?:not supported|unsupported)\b.*$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Converted:
    """What it wrote, of a batch of one; blobs are called in0, in1 …, out0, out1 …."""

    structure: str  # the text of .param
    weights: bytes  # of .bin
    batched: frozenset[str]  # the blobs that have the batch, of size 1, as their first dimension


def version() -> str:
    return importlib.metadata.version("pnnx")


def convert(torchscript: bytes, shapes: Sequence[Sequence[Sequence[int]]], what: str) -> Converted:
    """Convert a graph, in float32.

    Args:
        torchscript: the graph as a file, traced with a batch of one.
        shapes: of each input; a second one, where dimensions differ from those of the first: those may vary.
        what: the graph, for messages.

    Raises:
        ExportError: pnnx cannot.
    """
    with tempfile.TemporaryDirectory(prefix="aedeploy-pnnx-") as folder:
        (Path(folder) / "graph.pt").write_bytes(torchscript)
        by_size = zip(_INPUTS, zip(*shapes, strict=True), strict=False)
        options = [f"{key}={','.join(map(_typed, of_inputs))}" for key, of_inputs in by_size]
        printed = _run([str(_program()), "graph.pt", *options, "fp16=0", "device=cpu"], folder, what)
        try:
            structure = (Path(folder) / "graph.ncnn.param").read_text(encoding="utf-8")
            weights = (Path(folder) / "graph.ncnn.bin").read_bytes()
            usage = (Path(folder) / "graph_ncnn.py").read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise ExportError(f"pnnx wrote no {Path(error.filename).suffix} file of the {what}.") from None
    complaint = _GAVE_UP.search(printed)
    if complaint:
        raise ExportError(f"pnnx cannot convert the {what} to ncnn: {complaint[0].strip()}.")
    axes = {match["name"]: int(match["axis"]) for match in _BLOB.finditer(usage)}
    if not {"in0", "out0"} <= set(axes) or set(axes.values()) - {0, _KEPT}:
        raise ExportError(f"pnnx does not find the batch in front in the {what}: use another format.")
    return Converted(
        structure=structure, weights=weights, batched=frozenset(name for name, axis in axes.items() if axis == _KEPT)
    )


def _typed(shape: Sequence[int]) -> str:
    return f"[{','.join(map(str, shape))}]f32"


def _run(command: Sequence[str], folder: str, what: str) -> str:
    """What it printed."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise ExportError(f"pnnx was not done with the {what} after {_PATIENCE} seconds.") from None
    except OSError as error:
        raise ExportError(f"pnnx cannot be started: {error.strerror}.") from None
    printed = done.stdout + done.stderr
    if done.returncode < 0:
        raise ExportError(f"pnnx died of {signal.Signals(-done.returncode).name} on the {what}: use another format.")
    if done.returncode:
        last = next((line.strip() for line in reversed(printed.splitlines()) if line.strip()), "it printed nothing")
        raise ExportError(f"pnnx could not convert the {what} (exit status {done.returncode}): {last}")
    return printed


def _program() -> Path:
    """The executable in its package, which itself would import torch and more."""
    found = importlib.util.find_spec("pnnx")
    assert found is not None  # the caller asked for it before
    return Path(*(found.submodule_search_locations or ())[:1]) / ("pnnx.exe" if os.name == "nt" else "pnnx")
