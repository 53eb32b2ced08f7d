"""A real bundle, made in milliseconds and without torch: onnxruntime runs its graphs, and they make sense.

The model is a low-pass filter: the encoder projects an image onto smooth orthonormal patterns, the decoder adds
them up again. What it gives back for a smooth image is that image, its colours in their order, so that a test can
tell right from nearly right. ``python tests/tiny_bundle.py DIR`` writes one to look at.

    write_tiny_bundle(folder / "tiny")                       grey 8×8, latent of 16
    write_tiny_bundle(folder / "tiny", mode="RGB")           latent of 48
    write_tiny_bundle(folder / "tiny", denoising=True)       its manifest says that it denoises
    write_tiny_bundle(folder / "tiny", gaussian=True)        its encoder gives logvar too
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from aedeploy.bundle import (
    SCHEMA_VERSION,
    Bundle,
    DataRecord,
    GraphRecord,
    ImageContract,
    LatentContract,
    Manifest,
    Provenance,
    TensorSpec,
    open_bundle,
)
from aedeploy.bundle.golden import BATCHES, GoldenCase, save_golden
from aedeploy.bundle.manifest import Role
from aedeploy.bundle.store import record_file, write_manifest

OPSET, IR_VERSION = 20, 10


def write_tiny_bundle(
    path: Path,
    *,
    mode: str = "L",
    size: int = 8,
    patterns: int = 4,
    scale: float = 1.0,
    denoising: bool = False,
    gaussian: bool = False,
    broken_at_white: bool = False,
) -> Bundle:
    """Write a bundle into the new folder ``path`` and open it.

    Each colour has patterns² latent numbers. ``scale`` multiplies the latent: another scale, another bundle.
    ``broken_at_white``: an image that is white throughout gives NaN, as models do that overflow.
    """
    from safetensors.numpy import save_file

    channels = 1 if mode == "L" else 3
    basis = smooth_patterns(size, patterns, channels)
    weights = {
        "encoder.weight": basis * np.float32(scale),
        "decoder.weight": np.ascontiguousarray(basis.T) / np.float32(scale),
    }
    graphs = _graphs(weights, (channels, size, size), gaussian, broken_at_white)
    path.mkdir(parents=True)
    save_file(weights, path / "weights.safetensors")
    records = [_write_graph(path, role, graph, channels, size, basis.shape[1]) for role, graph in graphs.items()]
    samples = np.random.default_rng(1).integers(0, 256, (4, size, size, channels), dtype=np.uint8)
    save_golden(path / "golden.safetensors", _golden(weights, (channels, size, size), gaussian), samples)
    recipe: dict[str, Any] = {"name": "low-pass", "model": {"latent_dim": basis.shape[1]}}
    write_manifest(
        path,
        Manifest(
            schema_version=SCHEMA_VERSION,
            name=path.name,
            recipe=recipe | ({"corruption": {"gaussian": {"sigma": 0.1}}} if denoising else {}),
            image=ImageContract(channels=channels, mode=mode, height=size, width=size, dynamic_size=False),
            latent=LatentContract(
                shape=(basis.shape[1],), kind="vector", distribution="gaussian" if gaussian else "point"
            ),
            weights=record_file(path, "weights.safetensors"),
            golden=record_file(path, "golden.safetensors"),
            graphs=tuple(records),
            metrics={},
            provenance=Provenance(
                created="2026-01-01T00:00:00+00:00",
                packages={},
                platform="test",
                seed=0,
                data=DataRecord(name="patterns", digest="0" * 64, train=1, held_out=1, split="none"),
            ),
        ),
    )
    return open_bundle(path)


def smooth_patterns(size: int, patterns: int, channels: int) -> np.ndarray:
    """The lowest cosines of each colour, orthonormal, as float32 [channels · size², channels · patterns²]."""
    at = np.arange(size)
    cosines = np.stack([np.cos(np.pi * (at + 0.5) * k / size) for k in range(patterns)])
    cosines /= np.linalg.norm(cosines, axis=1, keepdims=True)
    plane = np.einsum("ay,bx->yxab", cosines, cosines).reshape(size * size, patterns * patterns)
    return np.ascontiguousarray(np.kron(np.eye(channels), plane), dtype=np.float32)


def _graphs(
    weights: dict[str, np.ndarray], shape: tuple[int, int, int], gaussian: bool, broken_at_white: bool
) -> dict[Role, Any]:
    from onnx import TensorProto, helper, numpy_helper

    encode = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "encoder.weight"], ["latent"]),
    ]
    if broken_at_white:
        # log(1 − the least of all pixels) is −∞ at white, and −∞ · 0 is NaN.
        encode[-1].output[0] = "projected"
        encode += [
            helper.make_node("ReduceMin", ["flat", "axis"], ["least"], keepdims=1),
            helper.make_node("Sub", ["one", "least"], ["rest"]),
            helper.make_node("Log", ["rest"], ["log"]),
            helper.make_node("Mul", ["log", "zero"], ["nought"]),
            helper.make_node("Add", ["projected", "nought"], ["latent"]),
        ]
    decode = [
        helper.make_node("MatMul", ["latent", "decoder.weight"], ["sum"]),
        helper.make_node("Clip", ["sum", "zero", "one"], ["clipped"]),
    ]
    spread = helper.make_node("Mul", ["latent", "minus_one"], ["logvar"])
    constants = {
        **weights,
        "shape": np.array([-1, *shape], dtype=np.int64),
        "axis": np.array([1], dtype=np.int64),
        "zero": np.float32(0),
        "one": np.float32(1),
        "minus_one": np.float32(-1),
    }
    width = weights["encoder.weight"].shape[1]
    image, latent = ["batch", *shape], ["batch", width]

    def model(role: str, nodes: list[Any], inputs: dict[str, Any], outputs: dict[str, Any]) -> Any:
        used = {name for node in nodes for name in node.input}
        graph = helper.make_graph(
            nodes,
            role,
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in inputs.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in outputs.items()],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in used],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)

    def reshaped(output: str) -> list[Any]:
        return [helper.make_node("Reshape", ["clipped", "shape"], [output])]

    codes = {"latent": latent, "logvar": latent} if gaussian else {"latent": latent}
    return {
        "encoder": model("encoder", encode + ([spread] if gaussian else []), {"image": image}, codes),
        "decoder": model("decoder", decode + reshaped("image"), {"latent": latent}, {"image": image}),
        "autoencoder": model(
            "autoencoder", encode + decode + reshaped("reconstruction"), {"image": image}, {"reconstruction": image}
        ),
    }


def _write_graph(path: Path, role: Role, graph: Any, channels: int, size: int, width: int) -> GraphRecord:
    relative = f"graphs/onnx/{role}.onnx"
    (path / relative).parent.mkdir(parents=True, exist_ok=True)
    (path / relative).write_bytes(graph.SerializeToString())

    def spec(name: str) -> TensorSpec:
        if name in ("latent", "logvar"):
            return TensorSpec(name=name, dtype="float32", shape=("batch", width))
        return TensorSpec(name=name, dtype="float32", shape=("batch", channels, size, size), minimum=0.0, maximum=1.0)

    return GraphRecord(
        role=role,
        format="onnx",
        file=record_file(path, relative),
        inputs=tuple(spec(value.name) for value in graph.graph.input),
        outputs=tuple(spec(value.name) for value in graph.graph.output),
        parity="passed",
        opset=OPSET,
        ir_version=IR_VERSION,
        producer={"tiny_bundle": "1"},
    )


def _golden(weights: dict[str, np.ndarray], shape: tuple[int, int, int], gaussian: bool) -> list[GoldenCase]:
    random = np.random.default_rng(0)
    cases = []
    for batch in BATCHES:
        image = random.random((batch, *shape), dtype=np.float32)
        latent = image.reshape(batch, -1) @ weights["encoder.weight"]
        output = np.clip(latent @ weights["decoder.weight"], 0, 1).reshape(image.shape)
        codes = {"latent": latent, "logvar": -latent} if gaussian else {"latent": latent}
        cases += [
            GoldenCase(role="encoder", batch=batch, inputs={"image": image}, outputs=codes),
            GoldenCase(role="decoder", batch=batch, inputs={"latent": latent}, outputs={"image": output}),
            GoldenCase(role="autoencoder", batch=batch, inputs={"image": image}, outputs={"reconstruction": output}),
        ]
    return cases


if __name__ == "__main__":
    print(write_tiny_bundle(Path(sys.argv[1])).path)  # noqa: T201
