"""aedeploy: autoencoders that leave the notebook.

    import aedeploy
    ae = aedeploy.load("artifacts/digits-ae")
    latents = ae.encode(images)        # paths, PIL images or uint8 [N, H, W, C] → float32 [N, D]
    pixels = ae.decode(latents)        # → uint8 [N, H, W, C]

Importing this imports neither torch nor onnxruntime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aedeploy.errors import (
    AedeployError,
    BackendError,
    BundleError,
    BusyError,
    ConfigError,
    ExportError,
    ImageError,
    IntegrityError,
    JobError,
    LintError,
    ManifestError,
    MissingDependencyError,
    NothingToDoError,
    ParityError,
    PictureError,
    TrainingError,
    UnknownNameError,
)

if TYPE_CHECKING:
    from aedeploy.bundle import Bundle, open_bundle
    from aedeploy.runtime.codec import Codec, load

__version__ = "0.1.0"

__all__ = [
    "AedeployError",
    "BackendError",
    "Bundle",
    "BundleError",
    "BusyError",
    "Codec",
    "ConfigError",
    "ExportError",
    "ImageError",
    "IntegrityError",
    "JobError",
    "LintError",
    "ManifestError",
    "MissingDependencyError",
    "NothingToDoError",
    "ParityError",
    "PictureError",
    "TrainingError",
    "UnknownNameError",
    "__version__",
    "load",
    "open_bundle",
]

# Loaded when first used, so that `aedeploy --help` does not pay for them.
_LAZY = {
    "Bundle": "aedeploy.bundle",
    "open_bundle": "aedeploy.bundle",
    "Codec": "aedeploy.runtime.codec",
    "load": "aedeploy.runtime.codec",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'aedeploy' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return __all__
