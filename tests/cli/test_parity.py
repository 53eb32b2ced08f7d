"""``parity`` and ``verify`` as a user meets them: tolerances that are asked for, --bisect, and what is printed."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from typer.testing import CliRunner

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.store import record_file
from aedeploy.cli.app import app
from aedeploy.cli.parity import BISECTABLE
from aedeploy.cli.parity_tables import parity_table
from aedeploy.export import export_bundle
from aedeploy.export.bisect import FORMATS
from aedeploy.parity.compare import compare
from aedeploy.parity.report import COMPOSED, CaseResult, GraphResult, ParityReport

run = CliRunner().invoke


@pytest.fixture(scope="module")
def exported(trained_bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("parity") / "one"
    shutil.copytree(trained_bundles["standardised-rgb"].path, path)
    export_bundle(open_bundle(path), ["onnx", "torchscript"])
    return path


@pytest.fixture
def own(exported: Path, tmp_path: Path) -> Path:
    """A bundle to spoil."""
    shutil.copytree(exported, tmp_path / "own")
    return tmp_path / "own"


def spoil(path: Path, name: str, by: float) -> None:
    """One weight of the ONNX encoder off, and vouched for."""
    bundle = open_bundle(path)
    record = bundle.graph("encoder", "onnx")
    model = onnx.load(path / record.file.path)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name.endswith(name))
    array = numpy_helper.to_array(tensor).copy()
    array.flat[array.size // 2] += by
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    (path / record.file.path).write_bytes(model.SerializeToString())
    bundle.with_graphs([record.model_copy(update={"file": record_file(path, record.file.path)})])


def test_what_is_judged_otherwise_is_said_before_and_after(own: Path) -> None:
    result = run(app, ["parity", str(own), "--tolerance", "latent=1e-3", "--tolerance", "onnx:psnr=30"])
    assert result.exit_code == 0, result.stderr
    assert "Judged otherwise than usual, as asked: latent = 0.001 (usually 1e-05 + 1e-05 × peak)" in result.stderr
    assert "by tolerances that are not the usual ones: latent = 0.001" in result.stdout
    verified = run(app, ["verify", str(own)])
    assert verified.exit_code == 0, verified.stderr
    assert "onnx: verified by the tolerances that its parity check was given: latent = 0.001" in verified.stderr
    assert json.loads(run(app, ["verify", str(own), "--json"]).stdout)["overrides"]["onnx encoder"]["latent"] == 1e-3


def test_a_looser_tolerance_lets_a_wrong_graph_pass_and_leaves_its_trace(own: Path) -> None:
    spoil(own, "trunk.1.weight", 1e-3)
    assert run(app, ["parity", str(own), "-f", "onnx"]).exit_code == 5
    result = run(app, ["parity", str(own), "-f", "onnx", "--json", *_loose()])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["overrides"]["latent"] == 0.1


def _loose() -> list[str]:
    return [part for kind in ("latent", "image", "changed-pixels") for part in ("--tolerance", f"{kind}=0.1")]


@pytest.mark.parametrize(
    ("option", "says"),
    [("latent", "KIND=VALUE"), ("latnet=1", "did you mean 'latent'"), ("openvino:latent=1", "no openvino graph")],
)
def test_a_wrong_tolerance_is_a_usage_error(own: Path, option: str, says: str) -> None:
    before = (own / "bundle.json").read_bytes()
    result = run(app, ["parity", str(own), "--tolerance", option])
    assert result.exit_code == 2
    assert says in result.stderr
    assert (own / "bundle.json").read_bytes() == before


def test_bisect_names_the_layer(own: Path) -> None:
    spoil(own, "trunk.1.weight", 1e-2)
    result = run(app, ["parity", str(own), "--bisect"])
    assert result.exit_code == 5
    assert "Where onnx encoder differs from PyTorch" in result.stdout
    assert "of the module 'trunk.1'" in result.stdout
    assert "the weight" in result.stdout
    found = json.loads(run(app, ["parity", str(own), "--bisect", "--json", "--quiet"]).stdout)
    (bisection,) = found["bisect"]
    assert bisection["graph"] == "onnx encoder"
    assert bisection["first"]["module"] == "trunk.1"


def test_bisect_of_a_sound_bundle_has_nothing_to_do(own: Path) -> None:
    result = run(app, ["parity", str(own), "--bisect", "-f", "onnx"])
    assert result.exit_code == 0, result.stderr
    assert "There is nothing to bisect." in result.stdout


def test_bisect_of_a_format_without_nodes_is_a_usage_error(own: Path) -> None:
    result = run(app, ["parity", str(own), "--bisect", "-f", "torchscript"])
    assert result.exit_code == 2
    assert "torchscript files show no nodes" in result.stderr
    assert tuple(BISECTABLE) == tuple(FORMATS)


def test_a_graph_whose_engine_is_missing_is_reported_as_not_run(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aedeploy.runtime.backends.torchscript.missing", lambda: "torch")
    result = run(app, ["verify", str(own)])
    assert result.exit_code == 0, result.stderr
    assert "torchscript encoder: not run: nothing installed here runs torchscript" in result.stderr
    assert "not run" in result.stdout
    assert "onnx encoder" in result.stdout


@pytest.mark.parametrize("width", [80, 160])
def test_the_table_of_many_formats_stays_narrow(width: int) -> None:
    image = np.full((1, 1, 4, 4), 0.5, np.float32)
    case = CaseResult(kind="real", batch=1, size="4x4", outputs=(compare("reconstruction", image, image),))
    names = ("onnx", "torchscript", "exported-program", "openvino", "ort")
    graphs = [
        GraphResult(role=COMPOSED, format=one, backend="x", decoder=(other, "float32"), cases=(case,))
        for one in names
        for other in names
        if one != other
    ]
    wrong = CaseResult(kind="real", batch=1, size="4x4", outputs=(compare("reconstruction", image + 1, image),))
    graphs[3] = GraphResult(role=COMPOSED, format="onnx", backend="x", decoder=("ort", "float32"), cases=(wrong,))
    from rich.console import Console

    console = Console(width=width, record=True, file=io.StringIO())
    console.print(parity_table(ParityReport(bundle="b", reference="eager", graphs=tuple(graphs)), width))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    shown = [line for line in lines if "passed" in line or "failed" in line]
    # One line an encoder, and the pair that failed.
    assert len(shown) == len(names) + 1
    assert any("onnx→ort" in line and "failed" in line for line in shown)
    assert any("onnx→3 others" in line for line in shown)
