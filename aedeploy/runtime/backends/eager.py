"""The trained model itself, in PyTorch: the reference that every exported graph is held against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from aedeploy.bundle import Bundle, TensorSpec
from aedeploy.bundle.manifest import Role
from aedeploy.errors import MissingDependencyError
from aedeploy.runtime.backends._torch import TORCH_DEVICES, check_torch_device, missing_torch
from aedeploy.runtime.runner import Arrays, GraphRunner, RunnerLifetime, check_inputs

FORMATS: tuple[str, ...] = ()
DEVICES = TORCH_DEVICES


def missing() -> str | None:
    return missing_torch()


def open_graph(bundle: Bundle, role: Role, *, device: str, threads: int) -> GraphRunner:
    """Build the model of the manifest's recipe with the bundle's weights.

    Raises:
        MissingDependencyError: torch is not installed.
        BackendError: the device is not there.
        IntegrityError: the weights are not the bundle's.
    """
    if missing():
        raise MissingDependencyError("torch", "train", "The backend 'eager'")
    import torch

    from aedeploy.models.contract import graph_specs

    # The one place where the runtime reaches the models: only when somebody asks for this backend by name.
    from aedeploy.models.load import load_model

    check_torch_device(device)
    torch.set_num_threads(threads)
    built = load_model(bundle)
    inputs, outputs = graph_specs(built, role)
    return EagerRunner(built.module.to(device), role, inputs, outputs, device)


def open_exact(bundle: Bundle, role: Role) -> GraphRunner:
    """The same on the CPU in float64, in which rounding is no matter: what float32 is measured against.

    Raises:
        IntegrityError: the weights are not the bundle's.
    """
    from aedeploy.models.contract import graph_specs
    from aedeploy.models.load import load_model

    built = load_model(bundle)
    inputs, outputs = graph_specs(built, role)
    return EagerRunner(built.module.double(), role, inputs, outputs, "cpu", exact=True)


def open_verdicts(bundle: Bundle) -> Verdicts | None:
    """What says, in float64, how good the choices in a code are; None of a model that makes none that are known.

    Raises:
        IntegrityError: the weights are not the bundle's.
    """
    from aedeploy.models.autoencoder import Autoencoder
    from aedeploy.models.load import load_model

    module = load_model(bundle).module
    if not isinstance(module, Autoencoder) or not (module.bottleneck.quantises or module.bottleneck.masks):
        return None
    return Verdicts(module.double())


class Verdicts:
    """By how much the choices in somebody else's code are worse than the best, and what latent they make."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __call__(self, images_BCHW: np.ndarray, codes: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(gap, latent) of codes of these images, in float64: see :class:`aedeploy.models.bottlenecks.Verdict`."""
        import torch

        image = torch.from_numpy(np.array(images_BCHW)).double()
        code = {name: torch.from_numpy(np.array(array)) for name, array in codes.items()}
        with torch.inference_mode():
            found = self._model.bottleneck.verdict(self._model.features(image), code)
        return found.gap.numpy(), found.latent.numpy()


class EagerRunner(RunnerLifetime):
    """One role of an eager model behind the GraphRunner protocol."""

    def __init__(
        self,
        model: Any,
        role: Role,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        device: str,
        *,
        exact: bool = False,
    ) -> None:
        self._model, self._role, self._device, self._exact = model, role, device, exact
        self.inputs, self.outputs = inputs, outputs

    def run(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        import torch

        check_inputs(self.inputs, inputs)
        tensors = [torch.from_numpy(np.array(inputs[spec.name])).to(self._device) for spec in self.inputs]
        if self._exact:
            tensors = [tensor.double() for tensor in tensors]
        with torch.inference_mode():
            if self._role == "encoder":
                return {name: value.cpu().numpy() for name, value in self._model.encode(*tensors).items()}
            result = self._model.decode(*tensors) if self._role == "decoder" else self._model(*tensors)
        return {self.outputs[0].name: result.cpu().numpy()}
