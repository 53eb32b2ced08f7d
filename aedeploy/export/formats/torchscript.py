"""TorchScript: for libtorch in C++, and for Triton's PyTorch backend."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch.jit._trace import TracerWarning

from aedeploy.errors import ExportError
from aedeploy.export.formats import Written
from aedeploy.export.formats._archive import rewritten
from aedeploy.export.split import Graph

SUFFIX = ".pt"
OPTIONS: tuple[str, ...] = ()

#: The name of the extra file inside the archive that holds the aedeploy.* metadata, as JSON.
METADATA_FILE = "aedeploy.json"

_RANDOM = (
    "aten::rand",
    "aten::bernoulli",
    "aten::multinomial",
    "aten::normal",
    "aten::dropout",
    "aten::feature_dropout",
)


def missing() -> str | None:
    return None


def write(graph: Graph, path: Path, options: Mapping[str, object]) -> Written:
    """Trace the graph and write it without a path or a source line of this machine.

    Raises:
        ExportError: tracing warns (the trace would be wrong for other inputs), or a node is random.
    """
    buffer = io.BytesIO()
    with _only_deprecation_silenced():
        try:
            # Parity judges the result on more than the example; the tracer's own check would only repeat it.
            traced = torch.jit.trace(  # type: ignore[no-untyped-call]
                graph.module, graph.example, check_trace=False
            )
        except TracerWarning as warning:
            raise ExportError(
                f"Tracing the {graph.role} would bake a value of the example into the graph: {_first_line(warning)}"
            ) from None
        except (RuntimeError, ValueError, TypeError) as error:
            raise ExportError(f"PyTorch could not trace the {graph.role}: {_first_line(error)}") from error
        for node in traced.inlined_graph.nodes():
            if node.kind().startswith(_RANDOM):
                raise ExportError(
                    f"The {graph.role} graph has the random or training node {node.kind()}, so its output would "
                    "change from call to call: export a model in eval mode that takes its noise as an input."
                )
        torch.jit.save(traced, buffer, _extra_files={METADATA_FILE: json.dumps(dict(graph.metadata))})
    path.write_bytes(rewritten(buffer.getvalue(), "graph", _without_debug_files))
    return Written(
        producer={"torch": torch.__version__},
        oldest_runtime=f"libtorch {torch.__version__.partition('+')[0]}",
    )


@contextlib.contextmanager
def _only_deprecation_silenced() -> Iterator[None]:
    """TorchScript is deprecated, and still what libtorch loads. A TracerWarning means a wrong graph: an error."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated", category=DeprecationWarning)
        warnings.filterwarnings("error", category=TracerWarning)
        yield


def _without_debug_files(name: str, content: bytes) -> bytes | None:
    """The ``.debug_pkl`` entries name the source files of this machine."""
    return None if name.endswith(".debug_pkl") else content


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
