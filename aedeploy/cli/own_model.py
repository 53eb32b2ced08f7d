"""The options of ``aedeploy export`` that make a bundle of somebody's own model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aedeploy.cli.options import trust_own_module
from aedeploy.cli.samples import read_folder
from aedeploy.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from aedeploy.export.own import OwnSource

Input = Annotated[
    str | None,
    typer.Option("--input", metavar="CxHxW", help="Of one's own model: the images it takes, such as 3x64x64."),
]
Weights = Annotated[
    Path | None,
    typer.Option(help="Of one's own model: .safetensors, or a state dict as .pt. Default: what the factory gives."),
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="DIR", help="Of one's own model: the bundle to make of it.")
]
Argument = Annotated[
    list[str] | None,
    typer.Option("--argument", metavar="KEY=VALUE", help="Of one's own model: for its factory; repeatable."),
]
Outputs = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Of one's own model: what encode returns, where that is a tuple: latent,logvar,indices; - skips one.",
    ),
]
Whole = Annotated[
    bool, typer.Option("--whole", help="Of one's own model: do not cut it; its forward becomes the autoencoder graph.")
]
Denoiser = Annotated[bool, typer.Option("--denoiser", help="Of one's own model: it was trained to remove noise.")]
Mean = Annotated[
    str | None,
    typer.Option(metavar="X[,X,X]", help="Of one's own model: taken from an image in [0, 1], by channel. Default: 0."),
]
Std = Annotated[
    str | None,
    typer.Option(metavar="X[,X,X]", help="Of one's own model: what that is divided by, by channel. Default: 1."),
]
ModelOutput = Annotated[
    str | None,
    typer.Option(
        metavar="normalised|unit",
        help="Of one's own model: gives images in the units of its input, or in [0, 1]. Default: normalised.",
    ),
]
DynamicSize = Annotated[
    int | None,
    typer.Option(
        metavar="MULTIPLE",
        help="Of one's own fully convolutional model: it takes any height and width that are multiples of this.",
    ),
]
Samples = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Of one's own model: real images of its kind, for golden vectors and parity. Default: digits stand in.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class OwnOptions:
    """What was given of these options, as it was given."""

    module: str | None
    input: str | None
    weights: Path | None
    out: Path | None
    argument: Sequence[str] | None
    outputs: str | None
    whole: bool
    denoiser: bool
    mean: str | None
    std: str | None
    model_output: str | None
    dynamic_size: int | None
    samples: Path | None

    @property
    def given(self) -> list[str]:
        """The options, ``--module`` apart, that only a new bundle has a meaning for."""
        return [f"--{name.replace('_', '-')}" for name, value in vars(self).items() if value and name != "module"]

    def check(self, bundle: str | None, *, lint_only: bool) -> None:
        """Refuse what is neither a bundle of ours nor the whole of somebody's own model.

        Raises:
            ConfigError: an option is missing, or two mean different things.
        """
        if bundle is not None:
            raise ConfigError(f"{self.given[0]} makes a bundle of one's own model, and {bundle} is one: give either.")
        lacking = [
            option
            for option, value in (("--module", self.module), ("--input", self.input), ("--out", lint_only or self.out))
            if not value
        ]
        if lacking:
            raise ConfigError(f"A bundle of one's own model needs {' and '.join(lacking)} beside {self.given[0]}.")

    def read(self) -> OwnSource:
        """Look at the model.

        Raises:
            ConfigError, ExportError: as :func:`aedeploy.export.own.examine`; or a value cannot be read.
        """
        from aedeploy.cli.large_imports import large_imports

        with large_imports():
            from aedeploy.export.own import OwnRequest, examine
        if self.model_output not in (None, "normalised", "unit"):
            raise ConfigError(f"--model-output is normalised or unit: {self.model_output!r} is not.")
        trust_own_module(self.module)
        shape = _shape(str(self.input))
        request = OwnRequest(
            module=str(self.module),
            image_shape=shape,
            arguments=_arguments(self.argument or ()),
            weights=self.weights,
            outputs=None if self.outputs is None else tuple(name.strip() for name in self.outputs.split(",")),
            whole=self.whole,
            mean=_numbers("mean", self.mean, 0.0),
            std=_numbers("std", self.std, 1.0),
            output="unit" if self.model_output == "unit" else "normalised",
            multiple_of=self.dynamic_size,
            denoises=self.denoiser,
            samples_NHWC=self._samples(shape),
        )
        return examine(request)

    def _samples(self, shape: tuple[int, int, int]) -> np.ndarray | None:
        if self.samples is None:
            return None
        from aedeploy.images.geometry import Geometry

        geometry = Geometry(mode="L" if shape[0] == 1 else "RGB", height=shape[1], width=shape[2])
        return read_folder(geometry, self.samples, "samples")


def _shape(text: str) -> tuple[int, int, int]:
    found = re.fullmatch(r"(\d+)[x×](\d+)[x×](\d+)", text)
    if found is None:
        raise ConfigError(f"--input {text}: give channels, height and width, such as 3x64x64.")
    channels, height, width = map(int, found.groups())
    return channels, height, width


def _numbers(option: str, text: str | None, default: float) -> tuple[float, ...]:
    if text is None:
        return (default,)
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or not all(map(isfinite, numbers)):
        raise ConfigError(f"--{option} {text}: give one number, or one for each channel, such as 0.5,0.5,0.5.")
    return numbers


def _arguments(pairs: Sequence[str]) -> Mapping[str, Any]:
    from aedeploy.recipes import parse_value

    arguments = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip().isidentifier():
            raise ConfigError(f"--argument takes KEY=VALUE, such as latent_dim=32: {pair!r} is not one.")
        arguments[key.strip()] = parse_value(value.strip())
    return arguments
