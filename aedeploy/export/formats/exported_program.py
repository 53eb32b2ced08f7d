"""PyTorch's exported program (.pt2): for PyTorch itself, and for AOTInductor and ExecuTorch to compile from."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import torch

from aedeploy.errors import ExportError
from aedeploy.export.formats import Written
from aedeploy.export.formats._archive import rewritten
from aedeploy.export.split import Graph

SUFFIX = ".pt2"
OPTIONS: tuple[str, ...] = ()

#: The name of the extra file inside the archive that holds the aedeploy.* metadata, as JSON.
METADATA_FILE = "aedeploy.json"

_RANDOM = ("rand", "bernoulli", "multinomial", "normal", "dropout", "feature_dropout", "alpha_dropout", "exponential")
_PROGRAM = "models/model.json"
_EXAMPLES = "data/sample_inputs/"


def missing() -> str | None:
    return None


def write(graph: Graph, path: Path, options: Mapping[str, object]) -> Written:
    """Write the program without a path or a source line of this machine, and without a pickled example.

    Raises:
        ExportError: the model cannot be captured, or an operator is random.
    """
    for node in graph.program.graph.nodes:
        if node.op == "call_function" and _is_random(str(node.target)):
            raise ExportError(
                f"The {graph.role} graph has the random or training node {node.target}, so its output would "
                "change from call to call: export a model in eval mode that takes its noise as an input."
            )
    buffer = io.BytesIO()
    torch.export.save(graph.program, buffer, extra_files={METADATA_FILE: json.dumps(dict(graph.metadata))})
    path.write_bytes(rewritten(buffer.getvalue(), "graph", _without_sources))
    return Written(
        producer={"torch": torch.__version__},
        # What PyTorch promises of these files: a newer release may read them, an older one does not.
        oldest_runtime=f"torch {torch.__version__.partition('+')[0]}",
    )


def _is_random(target: str) -> bool:
    """Whether an operator such as ``aten.randn_like.default`` draws numbers."""
    name = target.partition(".")[2].partition(".")[0]
    return name.startswith(_RANDOM) and not name.startswith(("normalize", "randperm_out_of"))


def _without_sources(name: str, content: bytes) -> bytes | None:
    if name.startswith(_EXAMPLES):
        return b""  # read by the loader, which takes nothing for no example
    if name != _PROGRAM:
        return content
    program = json.loads(content)
    for node in program["graph_module"]["graph"]["nodes"]:
        # Stack traces and module paths: for whoever debugs the code that made the program.
        node["metadata"] = {}
    # Of sets: their order is another in each process.
    program["range_constraints"] = dict(sorted(program["range_constraints"].items()))
    return json.dumps(program, separators=(",", ":")).encode()
