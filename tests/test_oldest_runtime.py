"""The manifest says which onnxruntime is the oldest that loads a graph: that one is installed, and it does."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from environments import clean, new_environment, pip, python_of

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.golden import load_golden
from aedeploy.bundle.manifest import ROLES

#: Runs one graph on one golden case, with nothing but onnxruntime and NumPy.
PROGRAM = """
import sys, numpy, onnxruntime
graph, case, result = sys.argv[1:]
session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]
outputs = session.run(names, dict(numpy.load(case)))
numpy.savez(result, **dict(zip(names, outputs)))
print(onnxruntime.__version__)
"""


NAMES = ("ae", "denoising")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, trained_bundles: dict[str, Bundle]) -> dict[str, Bundle]:
    """Copies of two trained bundles, exported to ONNX at the default opset."""
    from aedeploy.export import export_bundle

    folder = tmp_path_factory.mktemp("exported")
    copies = {name: open_bundle(shutil.copytree(trained_bundles[name].path, folder / name)) for name in NAMES}
    return {name: export_bundle(copy, ["onnx"], parity=False).bundle for name, copy in copies.items()}


@pytest.fixture(scope="module")
def oldest(tmp_path_factory: pytest.TempPathFactory, exported: dict[str, Bundle]) -> tuple[Path, str]:
    """An environment with the oldest onnxruntime that the manifests name, and its version."""
    (stated,) = {graph.oldest_runtime for bundle in exported.values() for graph in bundle.manifest.graphs}
    assert stated is not None
    package, version = stated.split()
    assert package == "onnxruntime"
    environment = new_environment(tmp_path_factory.mktemp("oldest") / "environment")
    # ==1.17 is 1.17.0. Releases of that time were built against NumPy 1 and do not say so.
    pip(["install", "--quiet", f"onnxruntime=={version}", "numpy<2"], into=environment, may_be_absent=True)
    return environment, version


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("role", ROLES)
def test_the_oldest_onnxruntime_computes_the_golden_vectors(
    oldest: tuple[Path, str], exported: dict[str, Bundle], tmp_path: Path, name: str, role: str
) -> None:
    environment, version = oldest
    bundle = exported[name]
    graph = bundle.file(bundle.graph(role, "onnx").file)
    cases = [case for case in load_golden(bundle.file(bundle.manifest.golden)) if case.role == role]
    assert cases
    for case in cases:
        np.savez(tmp_path / "case.npz", **case.inputs)
        command = [python_of(environment), "-c", PROGRAM, graph, tmp_path / "case.npz", tmp_path / "result.npz"]
        done = subprocess.run([str(part) for part in command], env=clean(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == f"{version}.0"
        result = np.load(tmp_path / "result.npz")
        assert set(result) == set(case.outputs)
        for output, want in case.outputs.items():
            np.testing.assert_allclose(result[output], want, rtol=1e-4, atol=1e-5)
