"""A bundle without torch, and images that it can and cannot give back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import IR_VERSION, OPSET, smooth_patterns, write_tiny_bundle

from aedeploy.bundle import Bundle, LatentContract, TensorSpec
from aedeploy.bundle.store import record_file


@pytest.fixture
def tiny(tmp_path: Path) -> Bundle:
    """Grey 8×8, latent of 16: a low-pass filter."""
    return write_tiny_bundle(tmp_path / "tiny")


@pytest.fixture(scope="session")
def grey_images() -> np.ndarray:
    """uint8 [300, 8, 8, 1]: smooth, with some noise in them."""
    random = np.random.default_rng(0)
    smooth = random.standard_normal((300, 16)) @ smooth_patterns(8, 4, 1).T * 0.15 + 0.5
    noisy = smooth + 0.03 * random.standard_normal(smooth.shape)
    return np.rint(255 * np.clip(noisy, 0, 1)).astype(np.uint8).reshape(-1, 8, 8, 1)


@pytest.fixture
def quantised(tiny: Bundle) -> Bundle:
    """As ``tiny``, but each of the 16 numbers of a latent is 0 or 1, and all of them are one index of 65,536."""
    from onnx import TensorProto, helper, numpy_helper

    basis = smooth_patterns(8, 4, 1)
    constants = {
        "weight": basis,
        "threshold": np.float32(0.0),
        "values": 2 ** np.arange(16, dtype=np.int64),
        "axes": np.array([1], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["projected"]),
        helper.make_node("Greater", ["projected", "threshold"], ["positive"]),
        helper.make_node("Cast", ["positive"], ["latent"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["positive"], ["digits"], to=TensorProto.INT64),
        helper.make_node("Mul", ["digits", "values"], ["placed"]),
        helper.make_node("ReduceSum", ["placed", "axes"], ["indices"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [
            helper.make_tensor_value_info("latent", TensorProto.FLOAT, ["batch", 16]),
            helper.make_tensor_value_info("indices", TensorProto.INT64, ["batch"]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    record = tiny.manifest.graph("encoder", "onnx")
    assert record is not None
    (tiny.path / record.file.path).write_bytes(model.SerializeToString())
    indices = TensorSpec(name="indices", dtype="int64", shape=("batch",))
    changed = record.model_copy(
        update={"file": record_file(tiny.path, record.file.path), "outputs": (*record.outputs, indices)}
    )
    latent = LatentContract(shape=(16,), kind="vector", distribution="point", codebook_size=2**16)
    graphs = tuple(changed if graph.role == "encoder" else graph for graph in tiny.manifest.graphs)
    return tiny.save(tiny.manifest.model_copy(update={"graphs": graphs, "latent": latent}))
