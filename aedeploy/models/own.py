"""Somebody's own ``nn.Module`` as a model that can be exported: its code is theirs, its contract is a bundle's.

What their class may be: one with methods ``encode`` and ``decode``; one with children ``encoder`` and ``decoder``; or
one with ``forward`` alone, which becomes an autoencoder graph and nothing else.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from aedeploy.bundle import ImageContract, LatentContract
from aedeploy.config import Config
from aedeploy.errors import ConfigError, ExportError, did_you_mean
from aedeploy.models.autoencoder import Normalisation
from aedeploy.models.bottlenecks import Code
from aedeploy.models.place import one_line, place_of_error
from aedeploy.models.returned import first_of

#: What ``encode`` may give: what the decoder takes, a gaussian's log variance, codebook indices; or nothing of use.
OUTPUTS = ("latent", "logvar", "indices")
SKIPPED = "-"

#: What an error most often comes from, by a sign in its message.
_HINTS = {
    "is invalid for input of size": " (a view or reshape that fixes the batch or the size)",
    "missing 1 required positional argument": " (it needs more than that: skip connections across the cut? --whole "
    "exports a model uncut)",
}

_trusted: set[str] = set()


class OwnModelConfig(Config):
    """What rebuilds such a model: the table ``model`` of its bundle's recipe."""

    module: Annotated[str, Field(pattern=r"^[^:\s]+:[^:\s]+$", description="package.module:factory")]
    arguments: dict[str, Any] = Field(default_factory=dict, description="The factory is called with them, by name.")
    # Not strict: of JSON they come as lists.
    outputs: tuple[str, ...] = Field(
        default=(), strict=False, description="Names of what encode returns, in its order; none: it is not cut."
    )
    mean: tuple[float, ...] = Field(default=(0.0,), strict=False, description="Subtracted from an image in [0, 1].")
    std: tuple[float, ...] = Field(default=(1.0,), strict=False, description="What that is divided by.")
    output: Literal["normalised", "unit"] = Field(
        default="normalised", description="What it gives: images in the units of its input, or in [0, 1]."
    )
    multiple_of: int | None = Field(default=None, ge=1, description="Other sizes: any multiple of this. null: none.")
    minimum: int = Field(default=1, ge=1, description="Other sizes: the least height and width.")


def trust(module: str) -> None:
    """Say that the code of ``package.module:factory`` may be imported and run, because a bundle names it."""
    _trusted.add(module)


def is_trusted(module: str) -> bool:
    """Whether somebody has named that code in this process."""
    return module in _trusted


@dataclass(frozen=True, kw_only=True)
class OwnModel:
    """An own model and its contract: a Deployable (see models/contract.py)."""

    module: OwnAutoencoder
    image: ImageContract
    latent: LatentContract | None
    noise: None = None

    @property
    def encoder_outputs(self) -> tuple[str, ...]:
        return self.module.encoder_outputs


class OwnAutoencoder(nn.Module):
    """Images in [0, 1] at both ends of somebody's model: its normalisation before, the inverse and a clamp after."""

    normalisation: Normalisation | None

    def __init__(self, model: nn.Module, config: OwnModelConfig) -> None:
        super().__init__()
        self.model = model
        identical = set(config.mean) == {0.0} and set(config.std) == {1.0}
        self.normalisation = None if identical else Normalisation(config.mean, config.std)
        self._undone = config.output == "normalised"
        self._outputs = config.outputs

    @property
    def encoder_outputs(self) -> tuple[str, ...]:
        """``latent`` first, whatever stands first in their tuple."""
        return tuple(name for name in OUTPUTS if name in self._outputs)

    def encode(self, image_BCHW: Tensor) -> Code:
        """Images in [0, 1] to what their encoder gives, by name."""
        named = dict(zip(self._outputs, self.encoder(image_BCHW), strict=True))
        return {name: named[name] for name in self.encoder_outputs}

    def encoder(self, image_BCHW: Tensor) -> tuple[Any, ...]:
        """Images in [0, 1] to whatever their encoder returns, as a tuple in any case."""
        result = _encoded(self.model, self.normalised(image_BCHW))
        return tuple(result) if isinstance(result, tuple | list) else (result,)

    def decode(self, latent: Tensor) -> Tensor:
        """``latent`` to images, clamped to [0, 1]."""
        return self.finish(decoded(self.model, latent))

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Reconstruct images in [0, 1]: by their encoder and decoder, where there are two, so without any sampling."""
        return self.decode(self.encode(image_BCHW)["latent"]) if self._outputs else self.whole(image_BCHW)

    def whole(self, image_BCHW: Tensor) -> Tensor:
        """Reconstruct images in [0, 1] by their own ``forward``, which may return the reconstruction in a tuple."""
        return self.finish(first_of(self.model(self.normalised(image_BCHW))))

    def normalised(self, image_BCHW: Tensor) -> Tensor:
        """What their model takes."""
        return image_BCHW if self.normalisation is None else self.normalisation(image_BCHW)

    def finish(self, raw_BCHW: Tensor) -> Tensor:
        """What their model gives, as images in [0, 1]."""
        if self.normalisation is not None and self._undone:
            raw_BCHW = self.normalisation.inverse(raw_BCHW)
        return raw_BCHW.clamp(0.0, 1.0)


def can_be_cut(model: nn.Module) -> bool:
    """Whether a model has an encoder and a decoder by one of the names that we know."""
    return _has_methods(model) or _has_children(model)


def _encoded(model: nn.Module, image_BCHW: Tensor) -> Any:
    return model.encode(image_BCHW) if _has_methods(model) else model.encoder(image_BCHW)  # type: ignore[operator]


def decoded(model: nn.Module, latent: Tensor) -> Tensor:
    """What a model's decoder makes of a latent."""
    return first_of(model.decode(latent) if _has_methods(model) else model.decoder(latent))  # type: ignore[operator]


def _has_methods(model: nn.Module) -> bool:
    return all(callable(getattr(model, name, None)) for name in ("encode", "decode"))


def _has_children(model: nn.Module) -> bool:
    return all(isinstance(getattr(model, name, None), nn.Module) for name in ("encoder", "decoder"))


def make(config: OwnModelConfig) -> nn.Module:
    """Import the module that a config names and call its factory: on the CPU, in float32, in eval mode.

    Raises:
        ConfigError: nobody has said that this code may run (see :func:`trust`), or there is no such factory, or it
            does not take those arguments, or gives no module.
    """
    if not is_trusted(config.module):
        raise ConfigError(
            f"This model is somebody's own code, {config.module}, which would be imported and run: if you trust it, "
            f"name it again with --module {config.module}, or in Python aedeploy.models.own.trust({config.module!r})."
        )
    factory = _factory(config.module)
    try:
        model = factory(**config.arguments)
    except (Exception, SystemExit) as error:  # whatever their code raises
        raise ConfigError(
            f"{config.module} could not be called with {_listed(config.arguments)} ({_said(error)}): give its "
            "arguments with --argument KEY=VALUE."
        ) from error
    if not isinstance(model, nn.Module):
        raise ConfigError(f"{config.module} gave a {type(model).__name__}, and must give an nn.Module.")
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise ConfigError(f"{config.module} gave a TorchScript module: give the class that it was scripted from.")
    return _settled(model.to(device="cpu", dtype=torch.float32).eval())


def _settled(model: nn.Module) -> nn.Module:
    """Without what autograd remembers: a tensor with a history, such as of weight normalisation, cannot be copied."""
    for module in model.modules():
        for name, value in vars(module).items():
            if isinstance(value, Tensor) and not value.is_leaf:
                setattr(module, name, value.detach())
    return model


def _factory(module: str) -> Any:
    package, _, attribute = module.partition(":")
    try:
        found: Any = importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{package}.".startswith(f"{error.name}."):
            raise ConfigError(f"--module {module}: importing {package} failed ({_said(error)}).") from error
        raise ConfigError(
            f"--module {module}: there is no module {error.name!r} to import; run the command where it can be imported "
            "(the current directory counts), or install it."
        ) from None
    except SystemExit as error:
        raise ConfigError(
            f"--module {module}: importing {package} ended the program: put what it does as a script under "
            'if __name__ == "__main__":.'
        ) from error
    except Exception as error:  # whatever their code raises
        raise ConfigError(f"--module {module}: importing {package} failed ({_said(error)}).") from error
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise ConfigError(f"--module {module}: {package} has no {attribute!r}{did_you_mean(name, dir(found))}.")
        found = getattr(found, name)
    return found


def own_model(config: OwnModelConfig, model: nn.Module, image_shape: tuple[int, int, int]) -> OwnModel:
    """A model from :func:`make`, and the contract that one run of it shows, for images of (channels, height, width).

    Raises:
        ExportError: the model does not run, or what it gives has not the shape or dtype that it must have.
    """
    channels, height, width = image_shape
    module = OwnAutoencoder(model, config).eval()
    image = ImageContract(
        channels=1 if channels == 1 else 3,
        mode="L" if channels == 1 else "RGB",
        height=height,
        width=width,
        dynamic_size=config.multiple_of is not None,
        multiple_of=config.multiple_of or 1,
        minimum=config.minimum,
    )
    code = attempt(module, "encode", example(image_shape)) if config.outputs else None
    latent = _latent_contract(code, dynamic=image.dynamic_size) if code else None
    return OwnModel(module=module, image=image, latent=latent)


def example(image_shape: Sequence[int], batch: int = 1) -> Tensor:
    """Noise as images: float32 [batch, C, H, W] in [0, 1], always the same."""
    return torch.rand((batch, *image_shape), generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def attempt(module: OwnAutoencoder, method: str, *arguments: Tensor) -> Any:
    """Call a method with tensors of one image.

    Raises:
        ExportError: it fails; the message says in which module of theirs, and in which line.
    """
    try:
        return getattr(module, method)(*arguments)
    except ExportError:
        raise
    except Exception as error:  # whatever their code raises
        place = place_of_error(error, module.model)
        hint = next((_HINTS[sign] for sign in _HINTS if sign in str(error)), "")
        called = "forward" if method == "whole" else method
        raise ExportError(f"The model's {called} fails on one image in {place}: {_said(error)}{hint}.") from error


def _latent_contract(code: Code, *, dynamic: bool) -> LatentContract:
    latent = code["latent"]
    wrong = None
    if latent.ndim < 2 or latent.dtype != torch.float32:
        wrong = f"its latent is {latent.dtype} {list(latent.shape)}, and must be float32 [batch, …]"
    elif dynamic and latent.ndim != 4:
        wrong = f"its latent {_shape(latent)} has one size for images of any size: leave --dynamic-size out"
    elif "logvar" in code and code["logvar"].shape != latent.shape:
        wrong = f"logvar {_shape(code['logvar'])} must have the latent's shape {_shape(latent)}"
    elif "indices" in code and (code["indices"].dtype, code["indices"].shape[1:]) != (torch.int64, latent.shape[2:]):
        wanted = ", ".join(["batch", *map(str, latent.shape[2:])])
        wrong = f"indices {_shape(code['indices'])} must be int64 [{wanted}], one for all channels of a place"
    if wrong:
        raise ExportError(f"What the model's encoder gives cannot be exported: {wrong}.")
    shape = tuple(latent.shape[1:])
    return LatentContract(
        shape=(shape[0], "latent_height", "latent_width") if dynamic else shape,
        kind="vector" if len(shape) == 1 else "spatial",
        distribution="gaussian" if "logvar" in code else "point",
    )


def _shape(tensor: Tensor) -> str:
    return f"[{', '.join(['batch', *map(str, tensor.shape[1:])])}]"


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {one_line(error)}".rstrip(".")


def _listed(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in arguments.items()) or "no argument"
