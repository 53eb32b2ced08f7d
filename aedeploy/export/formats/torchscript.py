"""TorchScript: for libtorch in C++, and for Triton's PyTorch backend."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.jit._trace import TracerWarning

from aedeploy.errors import ExportError
from aedeploy.export.formats import Written
from aedeploy.export.formats._archive import rewritten
from aedeploy.export.split import Graph
from aedeploy.models.place import one_line

SUFFIX = ".pt"
OPTIONS: tuple[str, ...] = ()

#: The name of the extra file inside the archive that holds the aedeploy.* metadata, as JSON.
METADATA_FILE = "aedeploy.json"

#: Where PyTorch's own modules are.
_TORCH = Path(torch.__file__).parent

Traced: TypeAlias = "torch.jit.ScriptModule | torch.jit.ScriptFunction[Any, Any]"

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
    content = saved(trace(graph.module, graph.example, graph.role), graph.metadata)
    path.write_bytes(rewritten(content, "graph", _without_debug_files))
    return Written(
        producer={"torch": torch.__version__},
        oldest_runtime=f"libtorch {torch.__version__.partition('+')[0]}",
    )


def trace(module: Callable[..., object], example: tuple[Tensor, ...], what: str) -> Traced:
    """What a module or a function does with an example, as TorchScript; ``what`` it is, for messages.

    Raises:
        ExportError: it cannot be traced, tracing warns (the trace would be wrong for others), or a node is random.
    """
    with _warnings_noted() as noted:
        try:
            # Parity judges the result on more than the example; the tracer's own check would only repeat it.
            traced: Traced = torch.jit.trace(  # type: ignore[no-untyped-call]
                module, example, check_trace=False
            )
        except (RuntimeError, ValueError, TypeError) as error:
            raise ExportError(f"PyTorch could not trace the {what}: {one_line(error)}") from error
        baked = next((warning for warning in noted if _bakes_in(warning)), None)
        if baked is not None:
            raise ExportError(
                f"Tracing the {what} would bake a value of the example into the graph: {one_line(baked.message)}"
            )
        nodes: Iterable[Any] = traced.inlined_graph.nodes()  # type: ignore[union-attr]  # a property of both
        for node in nodes:
            if node.kind().startswith(_RANDOM):
                raise ExportError(
                    f"The {what} graph has the random or training node {node.kind()}, so its output would "
                    "change from call to call: export a model in eval mode that takes its noise as an input."
                )
    return traced


def saved(traced: Traced, metadata: Mapping[str, str]) -> bytes:
    """A TorchScript file as PyTorch writes it."""
    buffer = io.BytesIO()
    with _warnings_noted():
        torch.jit.save(traced, buffer, _extra_files={METADATA_FILE: json.dumps(dict(metadata))})
    return buffer.getvalue()


@contextlib.contextmanager
def _warnings_noted() -> Iterator[list[warnings.WarningMessage]]:
    """All warnings, in a list: TorchScript is deprecated, and still what libtorch loads.

    Not as errors: one that is raised while PyTorch converts a tensor to bool comes out as a SystemError.
    """
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always")
        yield noted


def _bakes_in(warning: warnings.WarningMessage) -> bool:
    """Whether it says that the model's own code takes a number of the example for a constant.

    PyTorch's modules check sizes so, in group and instance norm, and then do not depend on them.
    """
    return issubclass(warning.category, TracerWarning) and not Path(warning.filename).is_relative_to(_TORCH)


def _without_debug_files(name: str, content: bytes) -> bytes | None:
    """The ``.debug_pkl`` entries name the source files of this machine."""
    return None if name.endswith(".debug_pkl") else content
