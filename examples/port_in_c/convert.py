"""A bundle's weights as C: ``python convert.py BUNDLE`` writes sizes.h and weights.h into the current folder.

It knows the layers of the recipes with a fully connected or a residual convolutional backbone (mlp-32, mlp-2d, vae,
ae, denoising …) and refuses what it does not know by name. It needs numpy and safetensors, and no aedeploy.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load

NEWEST_SCHEMA = 2
BATCH_NORM_EPSILON = 1e-5
ACTIVATIONS = {"relu": "RELU", "leaky_relu": "LEAKY_RELU", "elu": "ELU"}
AFTER_THE_HEAD = {"identity": None, "relu": "RELU", "sigmoid": "SIGMOID", "gaussian": None}

Weights = dict[str, np.ndarray]
Shape = tuple[int, int, int]  # channels, height, width


class RefusedError(Exception):
    """The bundle is damaged, or has something in it that this port does not compute."""


def refuse(what: str) -> RefusedError:
    return RefusedError(f"This port does not know {what}: write it in network.c, and add it here.")


@dataclass(frozen=True)
class Layer:
    """A ``struct layer`` of network.h."""

    kind: str
    shape: Shape  # of what comes in
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    kernel: int = 1
    stride: int = 1
    padding: int = 0

    @property
    def out_shape(self) -> Shape:
        _, height, width = self.shape
        match self.kind, self.weight:
            case "LINEAR", np.ndarray() as weight:
                return len(weight), 1, 1
            case "CONVOLUTION", np.ndarray() as weight:
                height, width = ((n + 2 * self.padding - self.kernel) // self.stride + 1 for n in (height, width))
                return len(weight), height, width
            case "TRANSPOSED_CONVOLUTION", np.ndarray() as weight:
                height, width = ((n - 1) * self.stride + self.kernel - 2 * self.padding for n in (height, width))
                return weight.shape[1], height, width
        return self.shape


class Layers(list[Layer]):
    """Layers in a row, each of which takes what the one before it gives."""

    def __init__(self, weights: Weights, shape: Shape) -> None:
        super().__init__()
        # What a layer takes is taken out: what is left in the end was not understood.
        self.weights = weights
        self.shape = shape

    def add(self, kind: str, weight: np.ndarray | None = None, bias: np.ndarray | None = None, **sizes: int) -> None:
        self.append(Layer(kind, self.shape, weight, bias, **sizes))
        self.shape = self[-1].out_shape

    def linear(self, name: str) -> None:
        self.shape = (prod(self.shape), 1, 1)  # whatever it was: values are flattened in the order that they have
        self.add("LINEAR", *self._parameters(name))

    def convolution(self, name: str, **sizes: int) -> None:
        self.add("CONVOLUTION", *self._parameters(name), **sizes)

    def transposed_convolution(self, name: str, **sizes: int) -> None:
        self.add("TRANSPOSED_CONVOLUTION", *self._parameters(name), **sizes)

    def batch_norm(self, name: str) -> None:
        """Once a model is trained, it is a product and a sum."""
        weight, bias = self._parameters(name)
        mean, variance = (self.weights.pop(f"{name}.running_{what}") for what in ("mean", "var"))
        del self.weights[f"{name}.num_batches_tracked"]
        scale = weight / np.sqrt(variance.astype(np.float64) + BATCH_NORM_EPSILON)
        self.add("SCALE", scale, bias - mean * scale)

    def residual(self, name: str, activation: str) -> None:
        """x + convolution(activation(convolution(activation(x))))"""
        self.add("KEEP")
        for number in (1, 3):
            self.add(activation)
            self.convolution(f"{name}.body.{number}", kernel=3, padding=1)
        self.add("ADD")

    def _parameters(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        return self.weights.pop(f"{name}.weight"), self.weights.pop(f"{name}.bias")


def network(manifest: dict[str, Any], weights: Weights) -> dict[str, Layers]:
    """The lists of layers by their name in weights.h; ``weights`` is emptied."""
    model, image, latent = manifest["recipe"]["model"], manifest["image"], manifest["latent"]
    backbone, bottleneck = model["backbone"], model["bottleneck"]
    if backbone["name"] not in ("mlp", "conv"):
        raise refuse(f"the backbone {backbone['name']!r}")
    if bottleneck["name"] not in AFTER_THE_HEAD:
        raise refuse(f"the bottleneck {bottleneck['name']!r}")
    mean, std = (weights.pop(f"normalisation.{name}", None) for name in ("mean", "std"))
    image_shape: Shape = image["channels"], image["height"], image["width"]

    trunk = Layers(weights, image_shape)
    if mean is not None:
        trunk.add("SCALE", 1 / std.ravel(), -(mean / std).ravel())
    if backbone["name"] == "mlp":
        hidden(trunk, "trunk", 1, backbone["hidden"], backbone)  # behind the layer that flattens
    else:
        halving(trunk, "trunk.0" if latent["kind"] == "vector" else "trunk", backbone)
    heads = {f"{name}_head": head for name, head in all_heads(trunk, bottleneck, latent).items()}

    decoder = Layers(weights, heads["latent_head"].shape)
    if backbone["name"] == "mlp":
        widths = backbone["decoder_hidden"] or backbone["hidden"][::-1]
        decoder.linear(f"decoder.{hidden(decoder, 'decoder', 0, widths, backbone)}")
    else:
        doubling(decoder, trunk.shape, latent["kind"], backbone)
    decoder.shape = image_shape
    if model["output"] == "sigmoid":
        decoder.add("SIGMOID")
    if mean is not None:
        decoder.add("SCALE", std.ravel(), mean.ravel())
    if weights:
        raise refuse(f"what to do with {', '.join(sorted(weights)[:3])}")
    return {"trunk": trunk, **heads, "decoder": decoder}


def hidden(layers: Layers, part: str, first: int, widths: list[int], backbone: dict[str, Any]) -> int:
    """Hidden layers of a fully connected part, from its place ``first`` on; returns the place behind them."""
    at = first
    for _ in widths:
        layers.linear(f"{part}.{at}")
        layers.add(ACTIVATIONS[backbone["activation"]])
        at += 2
        if backbone["batch_norm"]:
            layers.batch_norm(f"{part}.{at}")
            at += 1
        at += backbone["dropout"] > 0  # it has a place, and does nothing once a model is trained
    return at


def halving(layers: Layers, part: str, backbone: dict[str, Any]) -> None:
    activation, blocks = ACTIVATIONS[backbone["activation"]], backbone["blocks"]
    at = 0
    while f"{part}.{at}.weight" in layers.weights:
        layers.convolution(f"{part}.{at}", kernel=4, stride=2, padding=1)
        for block in range(blocks):
            layers.residual(f"{part}.{at + 1 + block}", activation)
        layers.add(activation)
        at += blocks + 2


def doubling(layers: Layers, low: Shape, kind: str, backbone: dict[str, Any]) -> None:
    activation, blocks = ACTIVATIONS[backbone["activation"]], backbone["blocks"]
    if kind == "vector":
        layers.linear("decoder.0")
        layers.shape = low
        at = 2  # behind the layer that gives it back its shape
    else:
        layers.convolution("decoder.0")
        at = 1
    while layers.weights:
        for block in range(blocks):
            layers.residual(f"decoder.{at + block}", activation)
        layers.add(activation)
        at += blocks + 2
        layers.transposed_convolution(f"decoder.{at - 1}", kernel=4, stride=2, padding=1)


def all_heads(trunk: Layers, bottleneck: dict[str, Any], latent: dict[str, Any]) -> dict[str, Layers]:
    """What follows the trunk, by the output that it gives."""
    names = {"latent": "mean", "logvar": "scale"} if bottleneck["name"] == "gaussian" else {"latent": "head"}
    heads = {output: Layers(trunk.weights, trunk.shape) for output in names}
    for output, head in heads.items():
        (head.linear if latent["kind"] == "vector" else head.convolution)(f"bottleneck.{names[output]}")
        activation = AFTER_THE_HEAD[bottleneck["name"]]
        if activation is not None:
            head.add(activation)
    match bottleneck.get("scale"):
        case "exp":  # the second head gives log σ, and logvar is log σ²
            channels = heads["logvar"].shape[0]
            heads["logvar"].add("SCALE", np.full(channels, 2.0), np.zeros(channels))
        case "softplus":
            raise refuse("a bottleneck whose scale is a softplus")
    return heads


def sizes_h(manifest: dict[str, Any], layers: dict[str, Layers]) -> Iterator[str]:
    """The lines of sizes.h."""
    image = manifest["image"]
    vector = manifest["latent"]["kind"] == "vector"
    latent = layers["latent_head"].shape[: 1 if vector else 3]
    every = [layer for part in layers.values() for layer in part]
    sizes = {
        "IMAGE_SHAPE": "{" + f"{image['channels']}, {image['height']}, {image['width']}" + "}",
        "IMAGE_VALUES": image["channels"] * image["height"] * image["width"],
        "LATENT_RANK": len(latent),
        "LATENT_SHAPE": "{" + ", ".join(map(str, latent)) + "}",
        "LATENT_VALUES": prod(latent),
        "HAS_LOGVAR": int("logvar_head" in layers),
        "LARGEST": max(prod(shape) for layer in every for shape in (layer.shape, layer.out_shape)),
    }
    yield f"/* Written by convert.py: {manifest['name']!a}, of the recipe {manifest['recipe'].get('name')!a}. */"
    yield from (f"#define {name} {value}" for name, value in sizes.items())


def weights_h(layers: dict[str, Layers]) -> Iterator[str]:
    """The lines of weights.h."""
    yield "/* Written by convert.py. */"
    for part, row in layers.items():
        rows = []
        for number, layer in enumerate(row):
            names = []
            for name, values in (("weight", layer.weight), ("bias", layer.bias)):
                if values is None:
                    names.append("0")
                else:
                    names.append(f"{part}_{number}_{name}")
                    yield from array(names[-1], values)
            sizes = (*layer.shape, layer.out_shape[0], layer.kernel, layer.stride, layer.padding)
            rows.append(f"    {{{layer.kind}, {', '.join(map(str, sizes))}, {', '.join(names)}}},")
        yield from (f"static const struct layer {part}[] = {{", *rows, "    {END, 0, 0, 0, 0, 0, 0, 0, 0, 0},", "};")


def array(name: str, values: np.ndarray) -> Iterator[str]:
    if not np.isfinite(values).all():
        raise RefusedError(f"{name} has values that are no numbers: the bundle is of no use.")
    # The shortest digits that give the same float again.
    digits = [f"{value!s}f" for value in values.astype(np.float32).ravel()]
    yield f"static const float {name}[{len(digits)}] = {{"
    yield from ("    " + ", ".join(digits[at : at + 8]) + "," for at in range(0, len(digits), 8))
    yield "};"


def convert(bundle: Path, folder: Path) -> None:
    """Write sizes.h and weights.h of a bundle into a folder.

    Raises:
        RefusedError: see there.
    """
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    if manifest["schema_version"] > NEWEST_SCHEMA:
        raise RefusedError(f"{bundle} has a manifest of version {manifest['schema_version']}, which may mean others.")
    if manifest["latent"] is None:
        raise refuse("a model that cannot be cut into an encoder and a decoder")
    content = (bundle / manifest["weights"]["path"]).read_bytes()
    if hashlib.sha256(content).hexdigest() != manifest["weights"]["sha256"]:
        raise RefusedError(f"{manifest['weights']['path']} is not the file that was written with the manifest.")
    layers = network(manifest, load(content))
    for name, lines in (("sizes.h", sizes_h(manifest, layers)), ("weights.h", weights_h(layers))):
        (folder / name).write_text("\n".join([*lines, ""]), encoding="ascii")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        convert(Path(sys.argv[1]), Path())
    except (RefusedError, OSError) as error:
        sys.exit(str(error))
