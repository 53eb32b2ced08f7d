"""From a bundle back to the model that it holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aedeploy.bundle import Bundle
from aedeploy.config import parse
from aedeploy.errors import IntegrityError, ManifestError
from aedeploy.models.build import build_model
from aedeploy.models.contract import Deployable


def load_model(bundle: Bundle) -> Deployable:
    """The model of a bundle, on the CPU, in eval mode.

    Raises:
        IntegrityError: the weights are missing, altered, or not those of the manifest's recipe.
        ManifestError: the manifest has no recipe.
        ConfigError: the model is somebody's own code, which nobody has said may run (see models/own.py).
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    table = bundle.manifest.recipe.get("model")
    if not isinstance(table, Mapping):
        raise ManifestError(f"The manifest of bundle {bundle.name!r} has no recipe to build its model from.")
    weights = bundle.file(bundle.manifest.weights)
    built = _built(bundle, table)
    try:
        built.module.load_state_dict(load_file(weights))
    except (SafetensorError, RuntimeError) as error:
        raise IntegrityError(
            f"{weights.name} of bundle {bundle.name!r} does not fit the model of its manifest ({error})."
        ) from None
    built.module.eval()
    return built


def _built(bundle: Bundle, table: Mapping[str, Any]) -> Deployable:
    image = bundle.manifest.image
    shape = (image.channels, image.height, image.width)
    if "module" not in table:
        return build_model(table, shape)
    from aedeploy.models.own import OwnModelConfig, make, own_model

    config = parse(OwnModelConfig, table, "model")
    own = own_model(config, make(config), shape)
    if (own.image, own.latent) != (image, bundle.manifest.latent):
        raise IntegrityError(
            f"The code of {config.module} has changed: the model that it makes now is not the one of bundle "
            f"{bundle.name!r}; bring that code back, or export the model again into a bundle of its own."
        )
    return own
