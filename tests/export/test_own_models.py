"""``aedeploy export --module …`` as a user meets it: their classes become bundles, or are refused by name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import own_networks as nets
import pytest
import torch
from own_networks import VAE, FixedView, SpatialLatent, Tied, TupleForward
from PIL import Image
from safetensors.torch import save_file, save_model
from typer.testing import CliRunner

from aedeploy.bundle import open_bundle
from aedeploy.bundle.golden import load_samples
from aedeploy.cli.app import app
from aedeploy.export import own as export_own
from aedeploy.export import run
from aedeploy.models import own
from aedeploy.parity.verify import verify_bundle
from aedeploy.runtime.codec import Codec

invoke = CliRunner().invoke
FORMATS = ("--format", "onnx", "--format", "torchscript")
DIGITS = ("--input", "1x28x28")
COLOUR = ("--input", "3x16x16")
SIGNED = ("--mean", "0.5,0.5,0.5", "--std", "0.5,0.5,0.5")

#: By name: the options, the contract of the latent, and what encode gives.
GOOD: dict[str, tuple[tuple[str, ...], tuple[Any, ...] | None, tuple[str, ...]]] = {
    "TupleForward": ((*DIGITS, "--argument", "latent_dim=5"), (5,), ("latent",)),
    "VAE": ((*DIGITS, "--outputs", "latent,logvar"), (8,), ("latent", "logvar")),
    "SpatialLatent": ((*COLOUR, *SIGNED), (4, 4, 4), ("latent",)),
    "Denoiser": ((*COLOUR, "--dynamic-size", "1", "--denoiser"), None, ()),
    "Tied": (DIGITS, (12,), ("latent",)),
    "Attention": (DIGITS, (16, 16), ("latent",)),
}


def export(name: str, *options: str) -> Any:
    return invoke(app, ["export", "--module", f"own_networks:{name}", *options])


@pytest.fixture(autouse=True)
def nobody_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test names, the next must name again."""
    monkeypatch.setattr(own, "_trusted", set())


@pytest.fixture(params=GOOD, scope="module")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of one of them, exported in two formats."""
    out = tmp_path_factory.mktemp("own") / request.param
    result = export(request.param, *GOOD[request.param][0], "--out", str(out), *FORMATS, "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["parity"]["passed"] is True
    assert not [finding for finding in report["findings"] if finding["severity"] == "error"]
    return out


def test_it_is_a_bundle_like_every_other(made: Path) -> None:
    _, latent, outputs = GOOD[made.name]
    bundle = open_bundle(made)
    roles = {"encoder", "decoder", "autoencoder"} if latent else {"autoencoder"}
    assert {(g.format, g.role, g.parity) for g in bundle.manifest.graphs} == {
        (format, role, "passed") for format in ("onnx", "torchscript") for role in roles
    }
    assert (bundle.manifest.latent.shape if bundle.manifest.latent else None) == latent
    if latent:
        assert tuple(spec.name for spec in bundle.graph("encoder", "onnx").outputs) == outputs
    assert (bundle.manifest.provenance.seed, bundle.manifest.provenance.data) == (None, None)
    assert verify_bundle(bundle)
    assert {path.name for path in made.parent.iterdir()} == {made.name}


def test_its_graphs_run_without_its_code(made: Path) -> None:
    bundle = open_bundle(made)
    pixels = load_samples(made / "golden.safetensors")[:2]
    with Codec(bundle, backend="onnxruntime") as codec:
        reconstruction = codec.reconstruct(pixels)
        assert reconstruction.shape == pixels.shape
        if bundle.manifest.latent:
            np.testing.assert_array_equal(codec.decode(codec.encode(pixels)), reconstruction)


def test_to_reopen_it_in_pytorch_its_code_must_be_named_again(made: Path) -> None:
    refused = invoke(app, ["export", str(made), "--json"])
    assert refused.exit_code == 2
    assert f"--module own_networks:{made.name}" in refused.stderr
    again = invoke(app, ["export", str(made), "--module", f"own_networks:{made.name}", "--no-parity", "--json"])
    assert again.exit_code == 0, again.stderr


def test_the_weights_and_the_normalisation_are_in_the_graph(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = SpatialLatent().eval()
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    out = tmp_path / "bundle"
    weights = str(tmp_path / "w.safetensors")
    result = export("SpatialLatent", *COLOUR, *SIGNED, "--weights", weights, "--out", str(out), "--no-parity")
    assert result.exit_code == 0, result.stderr
    image = np.random.default_rng(0).random((2, 3, 16, 16), dtype=np.float32)
    with torch.no_grad():
        wanted = (model(torch.from_numpy(image) * 2 - 1) + 1) / 2
    session = onnxruntime.InferenceSession(out / "graphs/onnx/autoencoder.onnx")
    np.testing.assert_allclose(session.run(None, {"image": image})[0], wanted.numpy(), atol=1e-5)


def test_a_gaussians_graph_decodes_the_mean_though_forward_samples(tmp_path: Path) -> None:
    torch.manual_seed(2)
    model = VAE().eval()
    torch.save(model.state_dict(), tmp_path / "w.pt")
    out = tmp_path / "bundle"
    options = (*DIGITS, "--outputs", "latent,logvar", "--weights", str(tmp_path / "w.pt"), "--no-parity")
    result = export("VAE", *options, "--out", str(out))
    assert result.exit_code == 0, result.stderr
    image = np.random.default_rng(0).random((3, 1, 28, 28), dtype=np.float32)
    with torch.no_grad():
        mean, logvar = model.encode(torch.from_numpy(image))
        wanted = model.decode(mean)
    session = onnxruntime.InferenceSession(out / "graphs/onnx/encoder.onnx")
    latent, found = session.run(["latent", "logvar"], {"image": image})
    np.testing.assert_allclose(latent, mean.numpy(), atol=1e-5)
    np.testing.assert_allclose(found, logvar.numpy(), atol=1e-5)
    whole = onnxruntime.InferenceSession(out / "graphs/onnx/autoencoder.onnx").run(None, {"image": image})[0]
    np.testing.assert_allclose(whole, wanted.numpy(), atol=1e-5)


def test_tied_weights_may_stand_in_a_file_once(tmp_path: Path) -> None:
    model = Tied()
    save_model(model, str(tmp_path / "w.safetensors"))
    out = tmp_path / "bundle"
    result = export("Tied", *DIGITS, "--weights", str(tmp_path / "w.safetensors"), "--out", str(out), "--no-parity")
    assert result.exit_code == 0, result.stderr
    again = invoke(app, ["parity", str(out), "--module", "own_networks:Tied"])
    assert again.exit_code == 0, again.stderr


def test_a_folder_of_real_images_becomes_the_samples(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for level in (40, 90, 200):
        Image.new("RGB", (50, 40), (level, 0, 0)).save(tmp_path / "photos" / f"{level}.png")
    result = export(
        "Denoiser", *COLOUR, "--samples", str(tmp_path / "photos"), "--out", str(tmp_path / "out"), "--no-parity"
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "stand in" not in result.stderr
    samples = load_samples(tmp_path / "out" / "golden.safetensors")
    assert sorted(samples[:, 0, 0, 0]) == [40, 90, 200]


def test_a_dynamic_size_is_in_the_contract(tmp_path: Path) -> None:
    result = export("SpatialLatent", *COLOUR, *SIGNED, "--dynamic-size", "4", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.stderr
    image = open_bundle(tmp_path / "out").manifest.image
    assert (image.dynamic_size, image.multiple_of, image.minimum) == (True, 4, 4)
    session = onnxruntime.InferenceSession(tmp_path / "out/graphs/onnx/encoder.onnx")
    assert session.run(None, {"image": np.zeros((1, 3, 12, 40), np.float32)})[0].shape == (1, 4, 3, 10)


#: By class: the options, the rule or words that name the reason, and the place.
REFUSED: dict[str, tuple[tuple[str, ...], str, str]] = {
    "SamplingEncoder": (DIGITS, "random-nodes", "own_networks.py line"),
    "FixedView": (DIGITS, "batch", "x.view(1, 784)"),
    "TrainingBatchView": (DIGITS, "a view or reshape that fixes the batch", "x.view(64, -1)"),
    "LengthOfBatch": (DIGITS, "fix the batch in the graph", "x.reshape(len(x), 784)"),
    "SkipConnection": (DIGITS, "skip connection", "SkipConnection.forward"),
    "LeftBehind": (DIGITS, "state", "LeftBehind.decode"),
    "LossFirst": (DIGITS, "cut", "LossFirst.forward"),
    "SamplingSkipConnection": (DIGITS, "skip connection", "without its noise"),
    "NeedsSkips": (DIGITS, "skip connections across the cut", "--whole"),
    "TableForward": (COLOUR, "gives a dict of 1 where an image", "wrap it"),
    "BatchStatistics": (DIGITS, "training-mode", "body.1 (BatchNorm2d)"),
    "AlwaysTraining": (DIGITS, "training-mode", "body.1 (BatchNorm2d)"),
    "BakedSize": ((*COLOUR, "--dynamic-size", "2"), "round-trip", "come back as 3×16×16"),
    "OfOneSize": ((*COLOUR, "--dynamic-size", "4"), "size", "middle (Linear)"),
    "OtherShape": (DIGITS, "fails on one image", "fc3 (Linear)"),
    "FlatOutput": (DIGITS, "must come back", "[batch, 784]"),
    "not_finite": (DIGITS, "weights", "decoder.2.weight"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_must_not_be_exported_is_refused_by_name_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    options, reason, place = REFUSED[name]
    result = export(name, *options, "--out", str(tmp_path / "deep" / "out"), "--json")
    assert result.exit_code == 1, result.stdout
    message = json.loads(result.stdout)["error"]["message"]
    assert reason in message
    assert place in message
    assert not list(tmp_path.rglob("*.json"))


def test_a_model_with_skip_connections_can_be_exported_whole(tmp_path: Path) -> None:
    result = export("SkipConnection", *DIGITS, "--whole", "--out", str(tmp_path / "out"), "--json")
    assert result.exit_code == 0, result.stderr
    assert {graph["role"] for graph in json.loads(result.stdout)["graphs"]} == {"autoencoder"}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("VAE", DIGITS, r"gives 2 values ([batch, 8], [batch, 8])"),
        ("VAE", (*DIGITS, "--outputs", "latent"), "names 1 values, and the encoder gives 2"),
        ("VAE", (*DIGITS, "--outputs", "mu,logvar"), "the names are latent, logvar, indices"),
        ("Denoiser", (*COLOUR, "--outputs", "latent"), "neither encode and decode methods"),
        ("TupleForward", (*DIGITS, "--argument", "width=3"), "could not be called with width=3"),
        ("TupleForward", (*DIGITS, "--argument", "3"), "--argument takes KEY=VALUE"),
        ("TupleForward", ("--input", "28x28"), "--input 28x28"),
        ("TupleForward", ("--input", "2x28x28"), "1 or 3 channels"),
        ("TupleForward", (*DIGITS, "--mean", "0.5,0.5"), "--mean has 2 values"),
        ("TupleForward", (*DIGITS, "--mean", "half"), "--mean half"),
        ("TupleForward", (*DIGITS, "--std", "0"), "cannot be 0"),
        ("TupleForward", (*DIGITS, "--model-output", "logits"), "normalised or unit"),
        ("TupleForward", (*DIGITS, "--weights", "missing.pt"), "there is no such file"),
        ("Denoiser", ("--input", "3x17x16", "--dynamic-size", "4"), "no multiple of it"),
        ("DistributionEncoder", DIGITS, "gives an instance of Normal, and must give a tensor"),
        ("scripted", DIGITS, "gave a TorchScript module"),
        ("VAe", DIGITS, "did you mean 'VAE'"),
        ("not_a_module", DIGITS, "gave a dict"),
    ],
)  # fmt: skip
def test_wrong_use_is_one_sentence(name: str, options: tuple[str, ...], message: str, tmp_path: Path) -> None:
    result = export(name, *options, "--out", str(tmp_path / "out"), "--quiet")
    assert result.exit_code == 2, result.stderr
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--module", "own_networks:VAE", "--input", "1x28x28"), "needs --out"),
        (("--out", "x"), "needs --module and --input"),
        (("some-bundle", "--module", "own_networks:VAE", "--out", "x"), "some-bundle"),
    ],
)
def test_half_of_the_options_are_not_enough(options: tuple[str, ...], message: str) -> None:
    result = invoke(app, ["export", *options])
    assert result.exit_code == 2
    assert message in result.stderr


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    state = TupleForward(latent_dim=3).state_dict()
    state["extra.weight"] = state.pop("decoder.0.bias")
    save_file(state, tmp_path / "w.safetensors")
    result = export("TupleForward", *DIGITS, "--weights", str(tmp_path / "w.safetensors"), "--out", str(tmp_path / "o"))
    assert result.exit_code == 2
    assert "has no decoder.0.bias" in result.stderr
    assert "has extra.weight" in result.stderr
    assert "encoder.3.weight is [3, 64] in the file and [16, 64] in the model" in result.stderr


@pytest.mark.parametrize("module", ["own_networks", "own_networks:", ":VAE", "own networks:VAE", "a:b:c"])
def test_a_module_is_a_package_and_a_factory(module: str, tmp_path: Path) -> None:
    result = invoke(app, ["export", "--module", module, *DIGITS, "--out", str(tmp_path / "out"), "--quiet"])
    assert result.exit_code == 2
    assert "package.module:factory" in result.stderr


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.net."])
def test_the_prefix_of_a_wrapper_is_named(prefix: str, tmp_path: Path) -> None:
    torch.save({prefix + name: value for name, value in VAE().state_dict().items()}, tmp_path / "w.pt")
    result = export("VAE", *DIGITS, "--weights", str(tmp_path / "w.pt"), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert f"prefix '{prefix}'" in result.stderr


@pytest.mark.filterwarnings("ignore:.*torch.jit.*deprecated:FutureWarning")
def test_a_torchscript_program_is_no_weights(tmp_path: Path) -> None:
    torch.jit.save(nets.scripted(), str(tmp_path / "w.pt"))  # type: ignore[no-untyped-call]
    result = export("VAE", *DIGITS, "--weights", str(tmp_path / "w.pt"), "--out", str(tmp_path / "out"), "--quiet")
    assert result.exit_code == 2
    assert "is a TorchScript program" in result.stderr
    assert "weights_only" not in result.stderr


def test_weights_are_never_unpickled(tmp_path: Path) -> None:
    torch.save(FixedView(), tmp_path / "model.pt")
    result = export("VAE", *DIGITS, "--weights", str(tmp_path / "model.pt"), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "state dict alone" in result.stderr
    torch.save({"epoch": 3, "state_dict": VAE().state_dict()}, tmp_path / "checkpoint.pt")
    result = export("VAE", *DIGITS, "--weights", str(tmp_path / "checkpoint.pt"), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "epoch, state_dict" in result.stderr


def test_what_is_there_is_replaced_only_when_asked_and_only_a_bundle(tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = (*DIGITS, "--out", str(out), "--no-parity")
    assert export("TupleForward", *options).exit_code == 0
    assert export("Tied", *options).exit_code == 2
    before = open_bundle(out).manifest.digest
    assert export("FixedView", *options, "--overwrite").exit_code == 1
    assert open_bundle(out).manifest.digest == before
    assert export("Tied", *options, "--overwrite").exit_code == 0
    assert open_bundle(out).manifest.digest != before
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.txt").write_text("sun")
    refused = export("Tied", *DIGITS, "--out", str(tmp_path / "photos"), "--overwrite")
    assert refused.exit_code == 2
    assert (tmp_path / "photos" / "holiday.txt").read_text() == "sun"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photos"]


def test_what_another_export_has_put_there_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    export_bundle = run.export_bundle

    def slow(*args: Any, **options: Any) -> Any:
        result = export_bundle(*args, **options)
        if not out.exists():
            monkeypatch.setattr(export_own, "export_bundle", export_bundle)
            assert export("Tied", *DIGITS, "--out", str(out), "--no-parity").exit_code == 0
        return result

    monkeypatch.setattr(export_own, "export_bundle", slow)
    late = export("TupleForward", *DIGITS, "--out", str(out), "--no-parity")
    assert late.exit_code == 2
    assert "is there already" in late.stderr
    assert open_bundle(out).manifest.recipe["model"]["module"] == "own_networks:Tied"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_lint_only_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = export("TupleForward", *DIGITS, "--mean", "0.1307", "--std", "0.3081", "--lint-only", "--json")
    assert result.exit_code == 0, result.stderr
    findings = json.loads(result.stdout)["findings"]
    assert {(finding["rule"], finding["severity"]) for finding in findings} == {("output-range", "warning")}
    assert "decoder.3 (Sigmoid)" in findings[0]["where"]
    refused = export("SamplingEncoder", *DIGITS, "--lint-only", "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["findings"][0]["rule"] == "random-nodes"
    assert not list(tmp_path.iterdir())


def test_what_a_model_prints_is_no_part_of_the_json(tmp_path: Path) -> None:
    result = export("Talking", *COLOUR, "--out", str(tmp_path / "out"), "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["parity"]["passed"] is True
    assert "in: torch.Size" in result.stderr


@pytest.mark.parametrize("status", ["0", "'wrong arguments'"])
def test_code_that_ends_the_program_is_an_error(status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "a_script", raising=False)
    (tmp_path / "a_script.py").write_text(f"import sys\n\nsys.exit({status})\n")
    out = tmp_path / "out"
    result = invoke(app, ["export", "--module", "a_script:Net", *DIGITS, "--out", str(out), "--json"])
    assert result.exit_code == 2
    assert "__main__" in json.loads(result.stdout)["error"]["message"]
    (tmp_path / "a_script.py").write_text(f"import sys\n\n\ndef Net():\n    sys.exit({status})\n")
    result = invoke(app, ["export", "--module", "a_script:Net", *DIGITS, "--out", str(out), "--json"])
    assert result.exit_code == 2
    assert "SystemExit" in json.loads(result.stdout)["error"]["message"]


def test_a_module_is_found_in_the_current_directory(tmp_path: Path) -> None:
    (tmp_path / "my_net.py").write_text(
        "from torch import nn\n\n\ndef small(width=4):\n    return nn.Sequential(nn.Conv2d(1, width, 3, padding=1), "
        "nn.ReLU(), nn.Conv2d(width, 1, 3, padding=1), nn.Sigmoid())\n"
    )
    command = ["export", "--module", "my_net:small", "--input", "1x16x16", "--out", "out", "--json", "--quiet"]
    code = "from aedeploy.cli.app import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *command], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    bundle = open_bundle(tmp_path / "out")
    assert bundle.manifest.recipe["model"]["module"] == "my_net:small"
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or str(tmp_path).encode() not in path.read_bytes(), path.name
