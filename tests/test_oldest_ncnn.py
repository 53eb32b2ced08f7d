"""The manifest says which ncnn is the oldest that loads a graph: that one is installed, and it does."""

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

pytest.importorskip("ncnn")
pytest.importorskip("pnnx")

#: Runs one graph on one golden case, image by image, with nothing but ncnn and NumPy.
PROGRAM = """
import sys, numpy, ncnn
structure, weights, case, result = sys.argv[1:]
net = ncnn.Net()
for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage", "winograd63_convolution"):
    setattr(net.opt, "use_" + option, False)
assert net.load_param(structure) == 0 and net.load_model(weights) == 0
((name, batch),) = numpy.load(case).items()
results = {output: [] for output in net.output_names()}
for array in batch:
    extractor = net.create_extractor()
    extractor.input(name, ncnn.Mat(array).clone())
    for output, arrays in results.items():
        status, blob = extractor.extract(output)
        assert status == 0
        arrays.append(numpy.array(blob))
numpy.savez(result, **{output: numpy.stack(arrays) for output, arrays in results.items()})
print(ncnn.__version__)
"""

#: A vector, a choice of the largest, a codebook for images of any size.
NAMES = ("mlp-32", "k-sparse", "vq-vae")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, trained_bundles: dict[str, Bundle]) -> dict[str, Bundle]:
    """Copies of trained bundles, exported to ncnn."""
    from aedeploy.export import export_bundle

    folder = tmp_path_factory.mktemp("exported")
    copies = {name: open_bundle(shutil.copytree(trained_bundles[name].path, folder / name)) for name in NAMES}
    return {name: export_bundle(copy, ["ncnn"], parity=False).bundle for name, copy in copies.items()}


@pytest.fixture(scope="module")
def oldest(tmp_path_factory: pytest.TempPathFactory, exported: dict[str, Bundle]) -> tuple[Path, str]:
    """An environment with the oldest ncnn that the manifests name, and its version."""
    (stated,) = {graph.oldest_runtime for bundle in exported.values() for graph in bundle.manifest.graphs}
    assert stated is not None
    package, version = stated.split()
    assert package == "ncnn"
    environment = new_environment(tmp_path_factory.mktemp("oldest") / "environment")
    # Without what it needs to download models, which nothing here does.
    pip(["install", "--quiet", "--no-deps", f"ncnn=={version}", "numpy"], into=environment, may_be_absent=True)
    return environment, version


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("role", ROLES)
def test_the_oldest_ncnn_computes_the_golden_vectors(
    oldest: tuple[Path, str], exported: dict[str, Bundle], tmp_path: Path, name: str, role: str
) -> None:
    environment, version = oldest
    bundle = exported[name]
    record = bundle.graph(role, "ncnn")
    assert record.data is not None
    cases = [case for case in load_golden(bundle.file(bundle.manifest.golden)) if case.role == role]
    assert cases
    for case in cases:
        np.savez(tmp_path / "case.npz", **case.inputs)
        files = [bundle.file(record.file), bundle.file(record.data), tmp_path / "case.npz", tmp_path / "result.npz"]
        command = [python_of(environment), "-c", PROGRAM, *files]
        done = subprocess.run([str(part) for part in command], env=clean(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == version
        result = np.load(tmp_path / "result.npz")
        assert set(result) == set(case.outputs)
        for output, want in case.outputs.items():
            np.testing.assert_allclose(result[output], want, rtol=1e-4, atol=1e-5)
