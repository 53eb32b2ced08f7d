"""The model itself, for the pictures that exported graphs cannot give; PyTorch begins here."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from aedeploy.errors import MissingDependencyError, PictureError
from aedeploy.pictures.subject import Subject

if TYPE_CHECKING:
    from aedeploy.models.autoencoder import Autoencoder


def model_of(subject: Subject, purpose: str) -> Autoencoder:
    """The model of a subject's bundle, on the CPU, in eval mode.

    Raises:
        MissingDependencyError: PyTorch is not installed.
        PictureError: it is somebody's own model, whose layers are not known.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingDependencyError("torch", "train", purpose)
    if "module" in subject.manifest.recipe.get("model", {}):
        raise PictureError(f"{purpose}: {subject.name!r} is somebody's own code, whose layers are not looked into.")
    from aedeploy.models.autoencoder import Autoencoder
    from aedeploy.models.load import load_model

    module = load_model(subject.bundle).module
    assert isinstance(module, Autoencoder)
    return module
