"""Bundles whose files hold no model: enough for everything that only looks at the manifest and the digests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

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
from aedeploy.bundle.manifest import Role
from aedeploy.bundle.store import record_file, write_manifest

MakeBundle = Callable[..., Bundle]


def graph_record(path: Path, role: Role, format: str, content: bytes, parity: str = "passed") -> GraphRecord:
    """Write a graph's file and describe it."""
    relative = f"graphs/{format}/{role}.bin"
    (path / relative).parent.mkdir(parents=True, exist_ok=True)
    (path / relative).write_bytes(content)
    spec = TensorSpec(name="image", dtype="float32", shape=("batch", 1, 4, 4), minimum=0.0, maximum=1.0)
    return GraphRecord(
        role=role,
        format=format,
        file=record_file(path, relative),
        inputs=(spec,),
        outputs=(spec.model_copy(update={"name": "latent", "shape": ("batch", 2), "minimum": None, "maximum": None}),),
        parity=parity,  # type: ignore[arg-type]
        producer={"test": "1"},
    )


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    """Write a bundle called ``name`` into ``folder``, created at ``created``, and open it."""

    def make(name: str = "paper", folder: Path = tmp_path, created: str = "2026-01-01T00:00:00+00:00") -> Bundle:
        path = folder / name
        path.mkdir(parents=True)
        (path / "weights.safetensors").write_bytes(b"weights of " + name.encode())
        (path / "golden.safetensors").write_bytes(b"golden")
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            name=name,
            recipe={"name": "mlp-32", "model": {"latent_dim": 2}},
            image=ImageContract(channels=1, mode="L", height=4, width=4, dynamic_size=False),
            latent=LatentContract(shape=(2,), kind="vector", distribution="point"),
            weights=record_file(path, "weights.safetensors"),
            golden=record_file(path, "golden.safetensors"),
            graphs=(
                graph_record(path, "encoder", "onnx", b"the encoder"),
                graph_record(path, "decoder", "onnx", b"the decoder"),
                graph_record(path, "encoder", "torchscript", b"script", parity="failed"),
            ),
            metrics={"mse": 0.01, "psnr": None},
            provenance=Provenance(
                created=created,
                packages={"aedeploy": "0.1.0"},
                platform="Linux",
                seed=0,
                data=DataRecord(name="digits", digest="0" * 64, train=9, held_out=1, split="the last"),
            ),
        )
        write_manifest(path, manifest)
        return open_bundle(path)

    return make
