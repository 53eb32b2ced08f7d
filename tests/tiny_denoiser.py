"""A real denoiser of any size that is told the noise, made in milliseconds and without torch.

It mixes an image with its mean over 3×3 pixels, beyond its edge black: of the mean, as much as ``sigma`` is of 55.
``cleaned`` says in NumPy what it gives, so that a test can tell right from nearly right.

    write_tiny_denoiser(folder / "grey")                     grey, autoencoder alone
    write_tiny_denoiser(folder / "colour", mode="RGB")
    write_tiny_denoiser(folder / "cut", cut=True)            encoder and decoder too: the latent is the clean image
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from aedeploy.bundle import (
    SCHEMA_VERSION,
    AnySize,
    Bundle,
    DataRecord,
    GraphRecord,
    ImageContract,
    LatentContract,
    Manifest,
    NoiseContract,
    Provenance,
    TensorSpec,
    open_bundle,
)
from aedeploy.bundle.golden import BATCHES, GoldenCase, save_golden
from aedeploy.bundle.manifest import Pixels, Role
from aedeploy.bundle.store import record_file, write_manifest

MAXIMUM = 55.0
#: Height and width are multiples of this.
MULTIPLE_OF = 4

_OPSET, _IR_VERSION = 20, 10
_SIZE = 16


def write_tiny_denoiser(path: Path, *, mode: str = "L", cut: bool = False, told: bool = True) -> Bundle:
    """Write a bundle into the new folder ``path``, with graphs of either kind of pixels, and open it.

    Not ``told``: it always takes as much of the mean as of sigma 55, and has no input for it.
    """
    from safetensors.numpy import save_file

    channels = 1 if mode == "L" else 3
    path.mkdir(parents=True)
    save_file({"kernel": _kernel(channels)}, path / "weights.safetensors")
    random = np.random.default_rng(0)
    samples = random.integers(0, 256, (4, _SIZE, _SIZE, channels), dtype=np.uint8)
    save_golden(path / "golden.safetensors", _golden(samples, told), samples)
    roles: tuple[Role, ...] = ("encoder", "decoder", "autoencoder") if cut else ("autoencoder",)
    kinds: tuple[Pixels, ...] = ("float32",) if cut else ("float32", "uint8")
    records = [_write_graph(path, role, pixels, channels, told) for pixels in kinds for role in roles]
    write_manifest(
        path,
        Manifest(
            schema_version=SCHEMA_VERSION,
            name=path.name,
            recipe={"name": "tiny-denoiser", "model": {"latent_dim": 0}, "corruption": {"gaussian": {"sigma": 0.1}}},
            image=ImageContract(
                channels=channels,
                mode=mode,
                height=_SIZE,
                width=_SIZE,
                dynamic_size=True,
                multiple_of=MULTIPLE_OF,
                minimum=MULTIPLE_OF,
            ),
            latent=LatentContract(shape=(channels, "height", "width"), kind="spatial", distribution="point")
            if cut
            else None,
            any_size=AnySize(radius=1, stride=1, bytes_per_pixel=16),
            noise=NoiseContract(maximum=MAXIMUM) if told else None,
            weights=record_file(path, "weights.safetensors"),
            golden=record_file(path, "golden.safetensors"),
            graphs=tuple(records),
            metrics={},
            provenance=Provenance(
                created="2026-01-01T00:00:00+00:00",
                packages={},
                platform="test",
                seed=0,
                data=DataRecord(name="noise", digest="0" * 64, train=1, held_out=1, split="none"),
            ),
        ),
    )
    return open_bundle(path)


def cleaned(pixels_HWC: np.ndarray, sigma: float = MAXIMUM) -> np.ndarray:
    """What the model gives of one image, uint8 or uint16: float32 [H, W, C] in [0, 1], in one piece."""
    white = np.float32(np.iinfo(pixels_HWC.dtype).max)
    image = np.divide(pixels_HWC, white, dtype=np.float32)
    height, width = image.shape[:2]
    beyond = [(0, -length % MULTIPLE_OF) for length in (height, width)]
    padded = np.pad(image, (*beyond, (0, 0)), mode="edge")
    black = np.pad(padded, ((1, 1), (1, 1), (0, 0)))
    rows, columns = padded.shape[:2]
    mean = sum(black[y : y + rows, x : x + columns] for y in range(3) for x in range(3)) / np.float32(9)
    made: np.ndarray = padded + np.float32(sigma / MAXIMUM) * (mean - padded)
    return np.clip(made, 0, 1)[:height, :width]


def _kernel(channels: int) -> np.ndarray:
    return np.full((channels, 1, 3, 3), 1 / 9, np.float32)


def _nodes(role: Role, taken: str, given: str, in_bytes: bool, channels: int, told: bool) -> list[Any]:
    from onnx import TensorProto
    from onnx.helper import make_node as node

    nodes = [node("Identity", [taken], ["noisy"])]
    if in_bytes:
        nodes = [
            node("Cast", [taken], ["as_floats"], to=TensorProto.FLOAT),
            node("Div", ["as_floats", "white"], ["of_one"]),
            node("Transpose", ["of_one"], ["noisy"], perm=[0, 3, 1, 2]),
        ]
    if role == "decoder":
        nodes.append(node("Identity", ["noisy"], ["mixed"]))
    else:
        nodes += [
            node("Conv", ["noisy", "kernel"], ["mean"], group=channels, pads=[1, 1, 1, 1]),
            node("Sub", ["mean", "noisy"], ["difference"]),
            node("Div", ["sigma", "maximum"], ["share"]) if told else node("Identity", ["one"], ["share"]),
            node("Mul", ["share", "difference"], ["taken_off"]),
            node("Add", ["noisy", "taken_off"], ["mixed"]),
        ]
    nodes.append(node("Clip", ["mixed", "zero", "one"], ["clean"]))
    if not in_bytes:
        return [*nodes, node("Identity", ["clean"], [given])]
    return [
        *nodes,
        node("Mul", ["clean", "white"], ["levels"]),
        node("Round", ["levels"], ["rounded"]),
        node("Cast", ["rounded"], ["as_bytes"], to=TensorProto.UINT8),
        node("Transpose", ["as_bytes"], [given], perm=[0, 2, 3, 1]),
    ]


def _write_graph(path: Path, role: Role, pixels: Pixels, channels: int, told: bool) -> GraphRecord:
    from onnx import TensorProto, helper, numpy_helper

    in_bytes = pixels == "uint8"
    taken, given = ("latent", "image") if role == "decoder" else ("image", "latent")
    given = "reconstruction" if role == "autoencoder" else given
    nodes = _nodes(role, taken, given, in_bytes, channels, told)
    constants = {"kernel": _kernel(channels)} | {
        name: np.float32(value) for name, value in (("white", 255), ("maximum", MAXIMUM), ("zero", 0), ("one", 1))
    }
    used = {name for one in nodes for name in one.input}
    shape: tuple[int | str, ...] = ("batch", channels, "height", "width")
    if in_bytes:
        shape = ("batch", "height", "width", channels)
    tensors = {taken: (pixels, shape), "sigma": ("float32", ("batch", 1, "height", "width")), given: (pixels, shape)}
    inputs = [taken, "sigma"] if "sigma" in used else [taken]

    def value(name: str) -> Any:
        dtype, dims = tensors[name]
        kind = TensorProto.UINT8 if dtype == "uint8" else TensorProto.FLOAT
        return helper.make_tensor_value_info(name, kind, list(dims))

    graph = helper.make_graph(
        nodes,
        role,
        [value(name) for name in inputs],
        [value(given)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items() if name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    relative = f"graphs/onnx/{role}{'-uint8' if in_bytes else ''}.onnx"
    (path / relative).parent.mkdir(parents=True, exist_ok=True)
    (path / relative).write_bytes(model.SerializeToString())
    specs = {name: TensorSpec(name=name, dtype=dtype, shape=dims) for name, (dtype, dims) in tensors.items()}
    return GraphRecord(
        role=role,
        format="onnx",
        pixels=pixels,
        file=record_file(path, relative),
        inputs=tuple(specs[name] for name in inputs),
        outputs=(specs[given],),
        parity="passed",
        opset=_OPSET,
        ir_version=_IR_VERSION,
        producer={"tiny_denoiser": "1"},
    )


def _golden(samples: np.ndarray, told: bool) -> list[GoldenCase]:
    cases = []
    for batch in BATCHES:
        image = np.divide(samples[:batch].transpose(0, 3, 1, 2), np.float32(255), dtype=np.float32)
        sigma = {"sigma": np.full((batch, 1, _SIZE, _SIZE), 20, np.float32)} if told else {}
        clean = np.stack([cleaned(one, 20 if told else MAXIMUM).transpose(2, 0, 1) for one in samples[:batch]])
        outputs = {"reconstruction": clean}
        cases.append(GoldenCase(role="autoencoder", batch=batch, inputs={"image": image, **sigma}, outputs=outputs))
    return cases
