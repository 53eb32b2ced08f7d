"""``aedeploy inspect``: the whole contract, for a person and for a program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_bundle import write_tiny_bundle
from typer.testing import CliRunner

from aedeploy.bundle import Bundle, Quantisation
from aedeploy.cli.app import app

run = CliRunner().invoke


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.chdir(tmp_path)
    return write_tiny_bundle(tmp_path / "artifacts" / "tiny", gaussian=True)


def changed(bundle: Bundle, **changes: object) -> Bundle:
    return bundle.save(bundle.manifest.model_copy(update=changes))


def test_json_is_the_manifest(bundle: Bundle) -> None:
    result = run(app, ["inspect", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads((bundle.path / "bundle.json").read_text())


@pytest.mark.parametrize("argument", [[], ["tiny"], ["artifacts/tiny"], ["artifacts/tiny/bundle.json"]])
def test_a_person_reads_what_goes_in_and_what_comes_out(bundle: Bundle, argument: list[str]) -> None:
    text = run(app, ["inspect", *argument]).stdout
    for line in (
        "image float32 [batch, 1, 8, 8]",
        "latent float32 [batch, 16]",
        "logvar float32 [batch, 16]",
        "16 float32, vector, gaussian",
        "L, 8 × 8 pixels, values in [0, 1]",
        "patterns: 1 images trained on, 1 held out",
        bundle.manifest.digest,
    ):
        assert line in text
    for graph in bundle.manifest.graphs:
        assert graph.file.path in text


def test_it_is_plain_when_piped(bundle: Bundle) -> None:
    assert "\x1b" not in run(app, ["inspect"]).stdout


def test_metrics_and_a_failed_parity_are_shown(bundle: Bundle) -> None:
    graphs = tuple(graph.model_copy(update={"parity": "failed"}) for graph in bundle.manifest.graphs)
    changed(bundle, metrics={"mse": 0.0123456789, "psnr": None}, graphs=graphs)
    text = run(app, ["inspect"]).stdout
    assert "0.0123457" in text
    assert text.count("failed") == len(graphs)


def test_a_bundle_without_graphs_says_what_to_run(bundle: Bundle) -> None:
    changed(bundle, graphs=())
    assert "run  aedeploy export" in run(app, ["inspect"]).stdout


def test_a_bundle_that_takes_any_size_says_its_rule(bundle: Bundle) -> None:
    update = {"dynamic_size": True, "multiple_of": 4, "minimum": 4}
    changed(bundle, image=bundle.manifest.image.model_copy(update=update))
    assert "height and width any multiple of 4, from 4 up" in run(app, ["inspect"]).stdout


def test_a_model_that_cannot_be_cut_is_said_so(bundle: Bundle) -> None:
    whole = tuple(graph for graph in bundle.manifest.graphs if graph.role == "autoencoder")
    changed(bundle, latent=None, graphs=whole)
    assert "the model cannot be cut" in run(app, ["inspect"]).stdout


def test_square_brackets_in_a_name_are_no_markup(bundle: Bundle) -> None:
    changed(bundle, recipe={"name": "mine", "summary": "[red]not red[/red]"})
    assert "[red]not red[/red]" in run(app, ["inspect"]).stdout


def test_what_is_no_bundle_is_one_sentence(bundle: Bundle) -> None:
    result = run(app, ["inspect", "nonesuch", "--json"])
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert answer["error"]["type"] == "BundleError"
    assert answer["error"]["message"].startswith("nonesuch is not a bundle")


def test_variants_quantisation_and_tolerances_are_shown(bundle: Bundle) -> None:
    encoder = bundle.manifest.graphs[0]
    quantised = encoder.model_copy(
        update={
            "format": "onnx-int8",
            "quantisation": Quantisation(
                precision="int8",
                psnr=41.26,
                calibration="entropy",
                calibration_images=64,
                float_layers=("first", "last", "third", "fourth"),
            ),
            "tolerances": {"latent": 1e-3},
        }
    )
    of_bytes = encoder.model_copy(update={"pixels": "uint8"})
    changed(bundle, graphs=(*bundle.manifest.graphs, quantised, of_bytes))
    text = " ".join(run(app, ["inspect"]).stdout.split())
    assert "onnx uint8" in text
    assert "(uint8)" in text
    assert "int8, 41.3 dB against float32, ranges by entropy of 64 images" in text
    assert "left in float32: first, last, third and 1 more" in text
    assert "latent 0.001" in text


def test_every_package_is_shown_to_who_asks_for_more(bundle: Bundle) -> None:
    packages = {"python": "3.12.1", "torch": "2.9.0"}
    changed(bundle, software={"training": packages, "onnx": packages, "openvino": {"openvino": "2026.1"}})
    assert "2026.1" not in run(app, ["inspect"]).stdout
    text = run(app, ["inspect", "--verbose"]).stdout
    assert "software of training, onnx" in text
    assert "python 3.12.1, torch 2.9.0" in text
    assert "software of openvino" in text


@pytest.mark.parametrize("width", ["60", "80", "200"])
def test_file_names_are_whole_at_any_width(bundle: Bundle, width: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setattr("aedeploy.cli.console._PIPE_WIDTH", int(width))
    lines = run(app, ["inspect"]).stdout.splitlines()
    for graph in bundle.manifest.graphs:
        assert any(graph.file.path in line for line in lines)


def test_one_exported_file_explains_itself(exported_bundles: dict[str, Bundle], tmp_path: Path) -> None:
    exported = exported_bundles["standardised-rgb"]
    path = tmp_path / "mein Encoder.onnx"
    path.write_bytes((exported.path / "graphs/onnx/encoder.onnx").read_bytes())
    text = run(app, ["inspect", str(path)]).stdout
    for part in ("image float32 [batch, 3, 8, 8]", "latent float32 [batch, 8]", "RGB, 8 × 8", exported.manifest.digest):
        assert part in text
    answer = json.loads(run(app, ["inspect", str(path), "--json"]).stdout)
    assert (answer["file"], answer["role"]) == ("mein Encoder.onnx", "encoder")
    assert answer["contract"]["image"]["mode"] == "RGB"


@pytest.mark.parametrize(
    ("name", "message"), [("nonesuch.onnx", "There is no file"), ("notes.txt", "is no exported file")]
)
def test_a_file_that_says_nothing_is_one_sentence(bundle: Bundle, name: str, message: str) -> None:
    Path("notes.txt").write_text("hello")
    result = run(app, ["inspect", name, "--json"])
    assert result.exit_code == 1
    assert message in json.loads(result.stdout)["error"]["message"]
