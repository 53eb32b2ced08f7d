"""``aedeploy inspect``: the whole contract, for a person and for a program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_bundle import write_tiny_bundle
from typer.testing import CliRunner

from aedeploy.bundle import Bundle
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
