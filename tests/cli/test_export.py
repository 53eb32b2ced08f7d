"""``export``, ``parity`` and ``verify`` as a user meets them: what is printed, and the exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.cli.app import app

run = CliRunner().invoke
ROLES = {"encoder", "decoder", "autoencoder"}


@pytest.fixture(scope="module")
def exported(trained_bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bundle exported through the command, in both formats."""
    path = tmp_path_factory.mktemp("cli") / "artifacts" / "one"
    shutil.copytree(trained_bundles["mlp-32"].path, path)
    result = run(app, ["export", str(path), "--format", "onnx", "--format", "torchscript", "--json"])
    assert result.exit_code == 0, result.stderr
    return path


@pytest.fixture
def own(exported: Path, tmp_path: Path) -> Path:
    """A bundle to spoil."""
    shutil.copytree(exported, tmp_path / "own")
    return tmp_path / "own"


def test_with_no_argument_the_newest_bundle_becomes_onnx(
    trained_bundles: dict[str, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained_bundles["mlp-32"].path, "artifacts/digits-mlp-32")
    result = run(app, ["export", "--format", "onnx"])
    assert result.exit_code == 0, result.stderr
    assert "artifacts/digits-mlp-32" in result.stderr
    for role in ROLES:
        assert f"artifacts/digits-mlp-32/graphs/onnx/{role}.onnx" in result.stdout
        assert (tmp_path / "artifacts/digits-mlp-32/graphs/onnx" / f"{role}.onnx").is_file()


def test_json_has_the_graphs_and_the_proof(exported: Path) -> None:
    result = run(app, ["export", str(exported), "--json", "--quiet"])
    report = json.loads(result.stdout)
    assert report["bundle"] == str(exported)
    assert {graph["role"] for graph in report["graphs"]} == ROLES
    for graph in report["graphs"]:
        assert graph["format"] == "onnx"
        assert (exported / graph["file"]).stat().st_size == graph["bytes"]
    assert report["parity"]["passed"] is True
    assert result.stderr == ""


def test_without_parity_it_says_so_and_marks_the_graphs_unchecked(own: Path) -> None:
    result = run(app, ["export", str(own), "--no-parity", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["parity"] is None
    assert "aedeploy parity" in result.stderr
    states = {(g.format, g.parity) for g in open_bundle(own).manifest.graphs}
    assert states == {("onnx", "unchecked"), ("torchscript", "passed")}


def test_parity_alone(own: Path) -> None:
    result = run(app, ["parity", str(own), "--format", "onnx", "--json"])
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["passed"] is True
    assert {graph["format"] for graph in report["results"]} == {"onnx"}
    (image,) = (g["worst"][0] for g in report["results"] if g["role"] == "autoencoder")
    assert 0 <= image["max_abs"] <= image["limit"] == pytest.approx(1e-5)
    assert json.loads((own / "parity.json").read_text()) == report
    text = run(app, ["parity", str(own), "--format", "onnx"]).stdout
    assert "≤ 1.0e-05" in text
    assert "passed" in text


def test_parity_on_a_users_own_images(own: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for index in range(3):
        noise = np.random.default_rng(index).integers(0, 256, (40, 30, 3), dtype=np.uint8)
        Image.fromarray(noise).save(photos / f"{index}.png")
    (photos / "broken.png").write_bytes(b"not an image")
    assert run(app, ["parity", str(own), "--samples", str(photos)]).exit_code == 0
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run(app, ["parity", str(own), "--samples", str(empty)]).exit_code == 4
    assert run(app, ["parity", str(own), "--samples", str(tmp_path / "missing")]).exit_code == 2


def test_a_graph_that_is_wrong_ends_with_5_and_is_named(own: Path) -> None:
    path = own / "graphs/onnx/encoder.onnx"
    path.write_bytes((own / "graphs/onnx/autoencoder.onnx").read_bytes())
    for command in ("parity", "verify"):
        result = run(app, [command, str(own), "--json"])
        assert result.exit_code == 5
        assert json.loads(result.stdout)["passed"] is False
        assert "graphs/onnx/encoder.onnx" in result.stderr
    # parity marked it, and exporting again puts it right.
    assert open_bundle(own).manifest.graph("encoder", "onnx").parity == "failed"  # type: ignore[union-attr]
    assert run(app, ["export", str(own)]).exit_code == 0
    assert run(app, ["verify", str(own)]).exit_code == 0


@pytest.mark.parametrize(
    ("file", "spoil"),
    [
        ("weights.safetensors", lambda path: path.unlink()),
        ("golden.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-10])),
        ("graphs/torchscript/decoder.pt", lambda path: path.write_bytes(b"x" * path.stat().st_size)),
    ],
    ids=["missing", "truncated", "altered"],
)
def test_verify_names_the_file_that_is_not_what_it_was(own: Path, file: str, spoil: object) -> None:
    spoil(own / file)  # type: ignore[operator]
    result = run(app, ["verify", str(own)])
    assert result.exit_code == 5
    assert file in result.stderr
    if file == "weights.safetensors":
        assert run(app, ["export", str(own)]).exit_code == 5


@pytest.mark.parametrize("command", ["parity", "verify", "inspect"])
def test_a_table_fits_a_window_of_a_hundred_columns(
    exported: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aedeploy.cli.console._PIPE_WIDTH", 100)
    monkeypatch.chdir(exported.parent)
    lines = run(app, [command, exported.name]).stdout.splitlines()
    assert max(map(len, lines)) <= 100
    whole = {
        "parity": ("≤ 1.0e-05", "8-bit pixels", "passed"),
        "verify": ("graphs/torchscript/autoencoder.pt", "torchscript autoencoder", "≤ 1.0e-05", "passed"),
        "inspect": ("graphs/torchscript/autoencoder.pt", "onnxruntime 1.17"),
    }
    text = "\n".join(lines)
    assert all(words in text for words in whole[command])
    assert "cosine" not in text


def test_parity_leaves_no_figure_out_where_there_is_room(exported: Path) -> None:
    assert "cosine" in run(app, ["parity", str(exported)]).stdout


def test_verify_of_a_good_bundle(exported: Path) -> None:
    result = run(app, ["verify", str(exported), "--json"])
    assert result.exit_code == 0
    results = json.loads(result.stdout)["results"]
    assert {r["subject"] for r in results if r["check"] == "golden"} == {
        f"{format} {role}" for format in ("onnx", "torchscript") for role in ROLES
    }
    assert all(r["passed"] for r in results)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["export", "no/such/bundle"], 1, "is not a bundle"),
        (["export", "--format", "onxx"], 2, "did you mean 'onnx'"),
        (["export", "--format", "torchscript", "--opset", "20"], 2, "no meaning for torchscript"),
        (["export", "--opset", "3"], 2, "--opset 3"),
        (["export", "--opset", "0"], 2, "--opset 0"),
        (["parity", "--format", "onxx"], 2, "did you mean 'onnx'"),
    ],
)
def test_wrong_arguments_get_one_sentence(exported: Path, arguments: list[str], code: int, said: str) -> None:
    command, *rest = arguments
    named = rest if "no/such/bundle" in rest else [str(exported), *rest]
    result = run(app, [command, *named])
    assert result.exit_code == code
    assert said in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    in_json = run(app, [command, *named, "--json"])
    assert json.loads(in_json.stdout)["exit_code"] == code
