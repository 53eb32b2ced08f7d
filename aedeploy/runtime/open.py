"""From a bundle, a role and a backend's name to a runner."""

from __future__ import annotations

import shlex
from types import ModuleType

from aedeploy.bundle import Bundle
from aedeploy.errors import BackendError, ConfigError, MissingDependencyError
from aedeploy.names import load_named, names_in
from aedeploy.runtime.cores import available_cores
from aedeploy.runtime.runner import GraphRunner

BACKENDS = "aedeploy.runtime.backends"
DEFAULT_BACKEND = "onnxruntime"


def backend_names() -> list[str]:
    """The names of all backends, installed or not."""
    return names_in(BACKENDS)


def load_backend(name: str) -> ModuleType:
    """The module of a backend.

    Raises:
        UnknownNameError: there is no such backend.
        MissingDependencyError: its engine is not installed.
    """
    backend = load_named(BACKENDS, name, "backend")
    package = backend.missing()
    if package:
        extra = "train" if package == "torch" else package
        raise MissingDependencyError(package, extra, f"The backend {name!r}")
    return backend


def default_backend(bundle: Bundle) -> str:
    """onnxruntime, unless the bundle has graphs only for another backend that is installed.

    Raises:
        BackendError: no installed backend runs any graph of the bundle.
    """
    formats = {graph.format for graph in bundle.manifest.graphs}
    names = sorted(backend_names(), key=lambda name: (name != DEFAULT_BACKEND, name))
    for name in names:
        backend = load_named(BACKENDS, name, "backend")
        if backend.FORMAT in formats and not backend.missing():
            return name
    has = f"has graphs for {', '.join(sorted(formats))} only" if formats else "has no exported graph yet"
    raise BackendError(
        f"Bundle {bundle.name!r} {has}: run  aedeploy export {shlex.quote(str(bundle.path))} --format onnx"
    )


def open_graph(
    bundle: Bundle,
    role: str,
    *,
    backend: str = DEFAULT_BACKEND,
    device: str = "cpu",
    threads: int | None = None,
    allow_failed: bool = False,
) -> GraphRunner:
    """Open one graph of a bundle, its file checked against the manifest.

    ``threads`` are the engine's own; by default the cores that this process may use. A graph whose parity check
    failed is refused unless ``allow_failed``.

    Raises:
        UnknownNameError, MissingDependencyError, BackendError, BundleError, IntegrityError.
    """
    engine = load_backend(backend)
    if device not in engine.DEVICES:
        raise ConfigError(f"The backend {backend!r} runs on {', '.join(engine.DEVICES)}, not on {device!r}.")
    runner: GraphRunner = engine.open_graph(
        bundle, role, device=device, threads=threads or available_cores(), allow_failed=allow_failed
    )
    return runner
