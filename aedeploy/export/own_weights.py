"""Somebody's weights from a file into their model."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from aedeploy.errors import ConfigError
from aedeploy.models.place import one_line

_LISTED = 3


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a state dict into a model: every name and shape must fit. Tied tensors may be there once.

    Raises:
        ConfigError: the file cannot be read, is no state dict, or does not fit.
    """
    tensors = read_weights(path)
    own = model.state_dict()
    shapes = [
        f"{name} is {list(tensors[name].shape)} in the file and {list(value.shape)} in the model"
        for name, value in own.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    unexpected = [name for name in tensors if name not in own]
    held = {value.data_ptr() for name, value in own.items() if name in tensors and value.numel()}
    missing = [name for name, value in own.items() if name not in tensors and value.data_ptr() not in held]
    problems = [
        f"has no {_some(missing)}" if missing else "",
        f"has {_some(unexpected)}, which the model has not" if unexpected else "",
        f"has other shapes: {_some(shapes)}" if shapes else "",
    ]
    if any(problems):
        raise ConfigError(
            f"--weights {path} does not fit the model: it {'; it '.join(filter(None, problems))}. "
            f"{_remedy(tensors, own)}"
        )
    model.load_state_dict(tensors, strict=False)


def _remedy(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """What to do, which is something else where only a wrapper's prefix stands before every name."""
    first = next(iter(own), "")
    prefix = next((name.removesuffix(first) for name in tensors if first and name.endswith(f".{first}")), "")
    if prefix and all(name.startswith(prefix) for name in tensors):
        return (
            f"Its names have a prefix {prefix!r}, of a wrapper that the model was trained in: save them without it, "
            f"{{name.removeprefix({prefix!r}): value for name, value in state.items()}}."
        )
    return "Give the factory the --argument that these weights were trained with, or the weights of this model."


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """A state dict of a ``.safetensors`` file, or of a ``.pt`` or ``.pth`` that holds tensors and nothing that runs.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ConfigError(f"--weights {path}: there is no such file.")
    if path.suffix not in (".safetensors", ".pt", ".pth"):
        raise ConfigError(f"--weights {path}: give a .safetensors, or a .pt or .pth with a state dict.")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TorchScript, which is refused below
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, OSError) as error:
        if "TorchScript" in str(error):
            raise ConfigError(
                f"--weights {path} is a TorchScript program: save the model's state dict alone, "
                "torch.save(model.state_dict(), …), or as .safetensors."
            ) from None
        raise ConfigError(f"--weights {path} cannot be read: {one_line(error)}.") from None
    except pickle.UnpicklingError:
        raise ConfigError(
            f"--weights {path} holds more than tensors, and unpickling that would run its maker's code: save the "
            "model's state dict alone, torch.save(model.state_dict(), …), or as .safetensors."
        ) from None
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        holds = f"a table of {_some(map(str, found))}" if isinstance(found, Mapping) else f"a {type(found).__name__}"
        raise ConfigError(f"--weights {path} holds {holds}, and must hold a state dict alone: names and tensors.")
    return dict(found)


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return f"{', '.join(listed[:_LISTED])}{more}"
