"""From a bundle, a role and what is to run it, to a runner."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import get_args

from aedeploy.bundle import Bundle, GraphRecord
from aedeploy.bundle.manifest import Pixels
from aedeploy.errors import (
    BackendError,
    ConfigError,
    MissingDependencyError,
    UnknownNameError,
)
from aedeploy.names import load_named, names_in
from aedeploy.runtime.cores import available_cores
from aedeploy.runtime.runner import GraphRunner

BACKENDS = "aedeploy.runtime.backends"
DEFAULT_BACKEND = "onnxruntime"


@dataclass(frozen=True, kw_only=True)
class Engine:
    """What runs a bundle's graphs. ``format`` None: the bundle's own weights, by the backend that needs no file."""

    backend: str
    format: str | None
    pixels: Pixels = "float32"


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


def backend_of(format: str) -> str:
    """The name of the backend that runs a format's graphs, installed or not.

    Raises:
        UnknownNameError: none does.
    """
    known: list[str] = []
    for name in backend_names():
        formats: Sequence[str] = load_named(BACKENDS, name, "backend").FORMATS
        if format in formats:
            return name
        known += formats
    raise UnknownNameError("format", format, known)


def is_runnable(format: str) -> bool:
    """Whether what runs a format's graphs is installed here."""
    try:
        load_backend(backend_of(format))
    except (MissingDependencyError, UnknownNameError):
        return False
    return True


def choose_engine(
    bundle: Bundle, *, backend: str | None = None, format: str | None = None, pixels: Pixels | None = None
) -> Engine:
    """What is to run a bundle's graphs, where not all of it is said.

    By default onnxruntime on ONNX, unless the bundle has graphs only for another backend that is installed; float32
    pixels, unless the bundle has only others.

    Raises:
        UnknownNameError: there is no such backend or format.
        ConfigError: the backend does not run the format, or there are no such pixels.
        BackendError: no installed backend runs any graph of the bundle.
    """
    if pixels is not None and pixels not in get_args(Pixels):
        raise ConfigError(f"--pixels is one of {', '.join(get_args(Pixels))}: {pixels!r} is not.")
    if backend is None:
        backend = backend_of(format) if format is not None else default_backend(bundle)
    formats: Sequence[str] = load_backend(backend).FORMATS
    if not formats:
        if format is not None or pixels == "uint8":
            raise ConfigError(f"The backend {backend!r} runs the bundle's own weights: leave out format and pixels.")
        return Engine(backend=backend, format=None)
    if format is not None and format not in formats:
        raise ConfigError(f"The backend {backend!r} runs {', '.join(formats)}, not {format!r}.")
    have = [(graph.format, graph.pixels) for graph in bundle.manifest.graphs]
    if format is None:
        format = next((name for name in formats if name in {format for format, _ in have}), formats[0])
    if pixels is None:
        pixels = "uint8" if (format, "float32") not in have and (format, "uint8") in have else "float32"
    return Engine(backend=backend, format=format, pixels=pixels)


def default_backend(bundle: Bundle) -> str:
    """onnxruntime, unless the bundle has graphs only for another backend that is installed.

    Raises:
        BackendError: no installed backend runs any graph of the bundle.
    """
    have = {graph.format for graph in bundle.manifest.graphs}
    names = sorted(backend_names(), key=lambda name: (name != DEFAULT_BACKEND, name))
    for name in names:
        backend = load_named(BACKENDS, name, "backend")
        if have & set(backend.FORMATS) and not backend.missing():
            return name
    has = f"has graphs for {', '.join(sorted(have))} only" if have else "has no exported graph yet"
    raise BackendError(
        f"Bundle {bundle.name!r} {has}: run  aedeploy export {shlex.quote(str(bundle.path))} --format onnx"
    )


def open_graph(
    bundle: Bundle,
    role: str,
    *,
    backend: str | None = None,
    format: str | None = None,
    pixels: Pixels | None = None,
    device: str = "cpu",
    threads: int | None = None,
    allow_failed: bool = False,
) -> GraphRunner:
    """Open one graph of a bundle, its file checked against the manifest.

    What runs it is chosen by :func:`choose_engine` where it is not said. ``threads`` are the engine's own; by default
    the cores that this process may use. A graph whose parity check failed is refused unless ``allow_failed``.

    Raises:
        UnknownNameError, ConfigError, MissingDependencyError, BackendError, BundleError, IntegrityError.
    """
    chosen = choose_engine(bundle, backend=backend, format=format, pixels=pixels)
    engine = load_backend(chosen.backend)
    if device not in engine.DEVICES:
        raise ConfigError(f"The backend {chosen.backend!r} runs on {', '.join(engine.DEVICES)}, not on {device!r}.")
    what: GraphRecord | str = role
    if chosen.format is not None:
        what = bundle.graph(role, chosen.format, chosen.pixels, allow_failed=allow_failed)
    runner: GraphRunner = engine.open_graph(bundle, what, device=device, threads=threads or available_cores())
    return runner
