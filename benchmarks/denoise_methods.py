"""The shipped denoisers as the methods that are measured: by their exported graphs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aedeploy.bundle import Bundle
from aedeploy.evaluation.denoising.methods import BundleMethod
from aedeploy.runtime.codec import load
from aedeploy.runtime.cores import available_cores

#: As figures.json names them: told σ, estimating it, and told σ in int8.
OURS, AUTO, INT8 = "denoiser", "denoiser, σ estimated", "denoiser, int8"


def methods_of(bundle: Bundle) -> tuple[str, ...]:
    """Those that a bundle has."""
    has_int8 = any(graph.format == "onnx-int8" for graph in bundle.manifest.graphs)
    return (OURS, AUTO, INT8) if has_int8 else (OURS, AUTO)


@contextmanager
def opened(bundle: Bundle, name: str) -> Iterator[BundleMethod]:
    """One of them, with as many threads as there are cores, for as long as it is needed."""
    with load(bundle, format="onnx-int8" if name == INT8 else "onnx", threads=available_cores()) as codec:
        yield BundleMethod(codec, "auto" if name == AUTO else "sigma", name=name)
