"""Exports of real trained bundles: what is in the files, what is not, and that the bundle stays valid."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from recipe_questions import recipes_to_export, roles_in

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.manifest import ROLES, Role
from aedeploy.bundle.store import changing
from aedeploy.errors import BundleError, ConfigError, ExportError, UnknownNameError
from aedeploy.export import export_bundle, onnx_graph
from aedeploy.export.formats import torchscript
from aedeploy.export.formats.torchscript import METADATA_FILE
from aedeploy.export.run import format_names
from aedeploy.export.split import split
from aedeploy.files import locked
from aedeploy.models.load import load_model
from aedeploy.parity.tolerances import BY_FORMAT
from aedeploy.parity.verify import verify_bundle
from aedeploy.recipes import load_recipe
from aedeploy.runtime.codec import Codec
from aedeploy.training.config import TrainConfig
from aedeploy.training.data.source import DataRequest
from aedeploy.training.events import Ended
from aedeploy.training.run import train

_NO_METADATA: dict[Role, dict[str, str]] = {"encoder": {}, "decoder": {}, "autoencoder": {}}


@pytest.fixture(params=recipes_to_export(), scope="session")
def exported(request: pytest.FixtureRequest, exported_bundles: dict[str, Bundle]) -> Bundle:
    """A trained bundle of every recipe, exported in every format."""
    return exported_bundles[request.param]


@pytest.fixture
def own(trained_bundles: dict[str, Bundle], tmp_path: Path) -> Bundle:
    """A bundle that a test may change, not exported yet."""
    return open_bundle(shutil.copytree(trained_bundles["mlp-32"].path, tmp_path / "own"))


@pytest.fixture
def own_exported(exported_bundles: dict[str, Bundle], tmp_path: Path) -> Bundle:
    """A bundle that a test may change, exported in every format."""
    return open_bundle(shutil.copytree(exported_bundles["mlp-32"].path, tmp_path / "own"))


def test_every_graph_is_there_and_passed(exported: Bundle) -> None:
    wanted = {(format, role) for format in ("onnx", "torchscript") for role in roles_in(exported)}
    assert {(g.format, g.role) for g in exported.manifest.graphs} == wanted
    assert {g.parity for g in exported.manifest.graphs} == {"passed"}
    assert verify_bundle(exported)


def test_no_file_names_a_path_of_this_machine(exported: Bundle) -> None:
    here = [
        str(Path(__file__).resolve().parents[2]),
        str(exported.path),
        str(Path(torch.__file__).parents[1]),
        "site-packages",
    ]
    for path in _files(exported.path):
        content = path.read_bytes()
        for needle in here:
            assert needle.encode() not in content, f"{path.name} names {needle}"


def test_no_pickle_but_inside_torchscript(exported: Bundle) -> None:
    for path in _files(exported.path):
        if path.suffix != ".pt":
            assert path.suffix in {".json", ".jsonl", ".md", ".safetensors", ".onnx"}


def test_nothing_is_left_behind_by_the_export(exported: Bundle) -> None:
    assert [path.name for path in exported.path.iterdir() if path.name.startswith(".")] == []


def test_onnx_is_one_file_that_explains_itself(exported: Bundle) -> None:
    for role in roles_in(exported):
        record = exported.graph(role, "onnx")
        model = onnx.load(exported.file(record.file), load_external_data=False)
        assert not any(tensor.external_data for tensor in model.graph.initializer)
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        assert metadata["aedeploy.role"] == role
        assert metadata["aedeploy.bundle_digest"] == exported.manifest.digest
        contract = json.loads(metadata["aedeploy.contract"])
        assert contract["image"]["height"] == exported.manifest.image.height
        assert json.loads(metadata["aedeploy.recipe"])["name"] == exported.manifest.recipe["name"]
        assert "torch" in json.loads(metadata["aedeploy.versions"])
        assert (record.opset, record.ir_version) == (model.opset_import[0].version, model.ir_version) == (20, 9)
        assert record.oldest_runtime == "onnxruntime 1.17"


def test_onnx_has_no_random_or_training_node(exported: Bundle) -> None:
    for role in roles_in(exported):
        model = onnx.load(exported.file(exported.graph(role, "onnx").file))
        kinds = {node.op_type for node in model.graph.node}
        assert kinds.isdisjoint({"RandomNormal", "RandomNormalLike", "RandomUniformLike", "Dropout", "Bernoulli"})


def test_torchscript_carries_the_same_metadata(exported: Bundle) -> None:
    role = roles_in(exported)[0]
    path = exported.file(exported.graph(role, "torchscript").file)
    with zipfile.ZipFile(path) as archive:
        metadata = json.loads(archive.read(f"graph/extra/{METADATA_FILE}"))
        assert not [name for name in archive.namelist() if "debug" in name]
    assert metadata["aedeploy.bundle_digest"] == exported.manifest.digest
    assert metadata["aedeploy.role"] == role


def test_the_same_call_gives_the_same_answer(exported: Bundle) -> None:
    session = onnxruntime.InferenceSession(exported.file(exported.graph("autoencoder", "onnx").file))
    sizes = exported.manifest.image
    random = np.random.default_rng(0)
    inputs = {"image": random.random((1, sizes.channels, sizes.height, sizes.width), dtype=np.float32)}
    if exported.manifest.noise is not None:
        inputs["sigma"] = np.full((1, 1, sizes.height, sizes.width), 25, np.float32)
    first, second = (session.run(None, inputs)[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_the_bundle_runs_from_onnx_alone(exported: Bundle) -> None:
    image = exported.manifest.image
    pixels = np.random.default_rng(0).integers(0, 256, (3, image.height, image.width, image.channels), dtype=np.uint8)
    with Codec(exported, backend="onnxruntime") as codec:
        assert codec.reconstruct(pixels).shape == pixels.shape
        if exported.manifest.latent is None:
            return
        latents = codec.encode(pixels)
        assert codec.decode(latents).shape == pixels.shape
        np.testing.assert_array_equal(codec.decode(latents), codec.reconstruct(pixels))


def test_exporting_one_format_leaves_the_other_untouched(own_exported: Bundle) -> None:
    again = export_bundle(own_exported, ["onnx"], opset=18).bundle
    for role in ROLES:
        assert again.graph(role, "torchscript") == own_exported.graph(role, "torchscript")
        assert again.graph(role, "onnx") != own_exported.graph(role, "onnx")
    assert verify_bundle(again)


def test_the_order_of_exports_does_not_matter(own: Bundle, tmp_path: Path) -> None:
    other = open_bundle(shutil.copytree(own.path, tmp_path / "other"))
    a = export_bundle(export_bundle(own, ["onnx"]).bundle, ["torchscript"]).bundle
    b = export_bundle(export_bundle(other, ["torchscript"]).bundle, ["onnx"]).bundle
    for role in ROLES:
        assert a.graph(role, "onnx").file.sha256 == b.graph(role, "onnx").file.sha256


def test_exporting_again_gives_the_same_onnx_bytes(own_exported: Bundle) -> None:
    digests = {g.role: g.file.sha256 for g in own_exported.manifest.graphs if g.format == "onnx"}
    assert {g.role: g.file.sha256 for g in export_bundle(own_exported, ["onnx"]).graphs} == digests


def test_an_export_that_fails_leaves_the_bundle_as_it_was(
    own_exported: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _digests(own_exported.path)

    def refuse(*_: object) -> None:
        raise ExportError("refused")

    # The last thing that a graph goes through: the encoder is written by then, the others are not.
    calls = iter([onnx_graph.check, refuse])
    monkeypatch.setattr(onnx_graph, "check", lambda *args: next(calls)(*args))
    with pytest.raises(ExportError, match="refused"):
        export_bundle(own_exported, ["onnx"])
    assert _digests(own_exported.path) == before


def test_two_exports_at_once_lose_nothing(own: Bundle) -> None:
    """Each as its own process: what one writes, the other keeps."""
    command = [sys.executable, "-m", "aedeploy", "export", str(own.path), "--quiet", "--format"]
    running = [subprocess.Popen([*command, format]) for format in ("onnx", "torchscript")]
    assert [process.wait() for process in running] == [0, 0]
    after = open_bundle(own.path)
    assert {(g.format, g.role, g.parity) for g in after.manifest.graphs} == {
        (format, role, "passed") for format in ("onnx", "torchscript") for role in ROLES
    }
    assert verify_bundle(after)


def test_what_a_killed_export_left_is_removed_by_the_next_one(own: Bundle) -> None:
    left = own.path / ".export-killed"
    (left / "graphs").mkdir(parents=True)
    held = own.path / ".export-running"
    held.mkdir()
    with locked(held):
        export_bundle(own, ["torchscript"], parity=False)
    assert not left.exists()
    assert held.exists()


def test_a_graph_that_failed_stays_failed_when_the_same_bytes_are_written_again(own_exported: Bundle) -> None:
    failed = own_exported.with_graphs([own_exported.graph("encoder", "onnx").model_copy(update={"parity": "failed"})])
    again = export_bundle(failed, ["onnx"], parity=False).bundle
    assert {g.role: g.parity for g in again.manifest.graphs if g.format == "onnx"} == {
        "encoder": "failed",
        "decoder": "unchecked",
        "autoencoder": "unchecked",
    }


def test_a_bundle_that_became_another_model_meanwhile_is_not_touched(
    own: Bundle, trained_bundles: dict[str, Bundle]
) -> None:
    shutil.rmtree(own.path)
    shutil.copytree(trained_bundles["vae"].path, own.path)
    before = _digests(own.path)
    with pytest.raises(BundleError, match="replaced by another"), changing(own):
        pass
    assert _digests(own.path) == before


def test_opset_is_read_back_and_others_are_refused(own: Bundle) -> None:
    result = export_bundle(own, ["onnx"], opset=18)
    assert {g.opset for g in result.graphs} == {18}
    assert {g.oldest_runtime for g in result.graphs} == {"onnxruntime 1.15"}
    with pytest.raises(ConfigError, match="--opset 7"):
        export_bundle(own, ["onnx"], opset=7)
    with pytest.raises(ConfigError, match="no meaning for torchscript"):
        export_bundle(own, ["torchscript"], opset=20)


def test_an_unknown_format_is_refused_with_the_nearest(own: Bundle) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'onnx'"):
        export_bundle(own, ["onxx"])


#: A sample image of the models here.
_BLACK = np.zeros((1, 28, 28, 1), np.uint8)


class _Sampling(torch.nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image + torch.randn_like(image)


class _Baked(torch.nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.reshape(3, 1, 28, 28) * 2


@pytest.mark.parametrize(
    ("format", "module", "reason"),
    [
        ("onnx", _Sampling, "RandomNormalLike"),
        ("torchscript", _Sampling, "aten::randn_like"),
        ("onnx", _Baked, "could not capture the autoencoder"),
    ],
)
def test_graphs_that_would_be_wrong_are_refused_by_name(
    own: Bundle, tmp_path: Path, format: str, module: type[torch.nn.Module], reason: str
) -> None:
    from aedeploy.names import load_named

    built = load_model(own)
    graph = next(g for g in split(built, _NO_METADATA, _BLACK) if g.role == "autoencoder")
    wrong = dataclasses.replace(graph, module=module())
    with pytest.raises(ExportError, match=reason):
        load_named("aedeploy.export.formats", format, "format").write(wrong, tmp_path / "wrong", {})


class _Normed(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.Sequential(torch.nn.GroupNorm(1, 1), torch.nn.InstanceNorm2d(1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.norm(image)
        return out


class _Choosing(torch.nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image if image.mean() > 0.9 else image * 2


def test_tracing_tells_pytorchs_own_size_checks_from_choices_of_the_model(own: Bundle, tmp_path: Path) -> None:
    graph = next(g for g in split(load_model(own), _NO_METADATA, _BLACK) if g.role == "autoencoder")
    torchscript.write(dataclasses.replace(graph, module=_Normed().eval()), tmp_path / "normed.pt", {})
    with pytest.warns(FutureWarning, match="deprecated"):
        loaded = torch.jit.load(tmp_path / "normed.pt")  # type: ignore[no-untyped-call]
    image = torch.rand(5, 1, 28, 28)
    assert torch.allclose(loaded(image), _Normed().eval()(image), atol=1e-6)
    with pytest.raises(ExportError, match="Tracing the autoencoder would bake a value of the example"):
        torchscript.write(dataclasses.replace(graph, module=_Choosing()), tmp_path / "choosing.pt", {})


def test_the_trained_model_is_not_changed_by_splitting(own: Bundle) -> None:
    built = load_model(own)
    built.module.train()
    split(built, _NO_METADATA, _BLACK)
    assert built.module.training
    assert all(parameter.requires_grad for parameter in built.module.parameters())


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _digests(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in _files(folder)}


@pytest.mark.slow  # most of a minute each
@pytest.mark.parametrize("variant", ["vq-vae", "denoising"])
def test_a_latent_of_one_place_is_not_baked_in(variant: str, tmp_path: Path) -> None:
    """Trained at the least size there can be, its graphs still take every size that the rule allows."""
    np.savez(tmp_path / "tiny.npz", images=np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8))
    config = TrainConfig(
        recipe=load_recipe(variant, ["model.backbone.stages=3", "training.epochs=1"]),
        out=tmp_path / "run",
        data=DataRequest(data=str(tmp_path / "tiny.npz")),
        device="cpu",
    )
    *_, ended = train(config)
    assert isinstance(ended, Ended)
    # What computes in less would be judged by how well so small a model has learned.
    exported = export_bundle(ended.bundle, [name for name in format_names() if name not in BY_FORMAT]).bundle
    assert {graph.parity for graph in exported.manifest.graphs} == {"passed"}
    session = onnxruntime.InferenceSession(exported.file(exported.graph("encoder", "onnx").file))
    latent = session.run(["latent"], {"image": np.zeros((2, 1, 16, 40), np.float32)})[0]
    assert latent.shape == (2, 16, 2, 5)
