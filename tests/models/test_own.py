"""Own models: what rebuilds them, what they promise, and that nobody's code runs unasked."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import own_networks as nets
import pytest
import torch
from torch import Tensor, nn

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.config import parse
from aedeploy.errors import ConfigError, ExportError, IntegrityError
from aedeploy.export.own import OwnRequest, examine, export_own
from aedeploy.models import own
from aedeploy.models.load import load_model
from aedeploy.models.own import OwnModelConfig, make, own_model, trust
from aedeploy.runtime.open import open_graph

SHAPE = (1, 28, 28)


@pytest.fixture(autouse=True)
def nobody_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "_trusted", set())


def config(module: str = "own_networks:VAE", **table: Any) -> OwnModelConfig:
    return OwnModelConfig(module=module, **{"outputs": ("latent", "logvar"), **table})


def test_the_table_of_a_manifest_gives_the_same_config_back() -> None:
    first = config(arguments={"latent_dim": 4}, mean=(0.5,), std=(0.5,), multiple_of=4)
    assert parse(OwnModelConfig, first.model_dump(mode="json"), "model") == first


@pytest.mark.parametrize("table", [{"module": "no-factory"}, {"output": "logits"}, {"pickle": "x"}])
def test_a_table_that_says_something_else_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        parse(OwnModelConfig, {"module": "a:b", **table}, "model")


def test_code_is_neither_imported_nor_run_before_somebody_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hostile_code.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    hostile = config("hostile_code:factory")
    with pytest.raises(ConfigError, match=r"--module hostile_code:factory.*own\.trust\('hostile_code:factory'\)"):
        make(hostile)
    trust("hostile_code:other")
    with pytest.raises(ConfigError, match="--module hostile_code:factory"):
        make(hostile)
    assert "hostile_code" not in sys.modules
    assert not (tmp_path / "ran").exists()


def test_the_contract_is_what_one_run_shows() -> None:
    trust("own_networks:VAE")
    model = own_model(config(), make(config()), SHAPE)
    assert model.encoder_outputs == ("latent", "logvar")
    assert model.latent is not None
    assert (model.latent.shape, model.latent.kind, model.latent.distribution) == ((8,), "vector", "gaussian")
    assert (model.image.channels, model.image.dynamic_size) == (1, False)
    assert not model.module.training


def test_the_latent_comes_first_whatever_its_place() -> None:
    model = own_model(config(outputs=("logvar", "latent")), nets.VAE().eval(), SHAPE)
    assert model.encoder_outputs == ("latent", "logvar")
    image = torch.rand(2, *SHAPE)
    with torch.no_grad():
        first, second = model.module.model.encode(image)
        code = model.module.encode(image)
    assert list(code) == ["latent", "logvar"]
    torch.testing.assert_close(code["logvar"], first)
    torch.testing.assert_close(code["latent"], second)


class Identity(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.parametrize(("output", "wanted"), [("normalised", 0.25), ("unit", 0.0)])
def test_normalisation_is_before_and_its_inverse_behind_unless_the_output_is_in_units_already(
    output: str, wanted: float
) -> None:
    table = {"mean": (0.5,), "std": (0.5,), "outputs": (), "output": output}
    model = own_model(config("a:b", **table), Identity(), SHAPE)
    # 0.25 goes in as −0.5, and −0.5 is below black.
    assert model.module(torch.full((1, *SHAPE), 0.25)).unique().tolist() == [wanted]


def test_mean_and_std_are_by_channel() -> None:
    table = {"mean": (0.1, 0.2, 0.3), "std": (0.5, 1.0, 2.0), "outputs": (), "output": "unit"}
    model = own_model(config("a:b", **table), Identity(), (3, 4, 4))
    given = model.module(torch.full((1, 3, 4, 4), 0.6))[0, :, 0, 0]
    torch.testing.assert_close(given, torch.tensor([1.0, 0.4, 0.15]))


class Codes(nn.Module):
    """A quantiser: one index for a place."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        latent = x[:, :, ::4, ::4].expand(-1, 2, -1, -1).round()
        return latent, latent[:, 0].to(self.dtype)

    def decode(self, z: Tensor) -> Tensor:
        return z[:, :1].repeat_interleave(4, 2).repeat_interleave(4, 3)


def test_indices_are_one_for_each_place() -> None:
    table = {"outputs": ("latent", "indices")}
    model = own_model(config("a:b", **table), Codes(torch.int64), SHAPE)
    assert model.encoder_outputs == ("latent", "indices")
    with pytest.raises(ExportError, match=r"int64 \[batch, 7, 7\]"):
        own_model(config("a:b", **table), Codes(torch.int32), SHAPE)


def test_a_latent_of_one_size_cannot_be_of_a_dynamic_model() -> None:
    with pytest.raises(ExportError, match="leave --dynamic-size out"):
        own_model(config(multiple_of=4), nets.VAE().eval(), SHAPE)


def test_the_least_size_that_runs_is_found() -> None:
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pad, self.conv = nn.ReflectionPad2d(5), nn.Conv2d(1, 1, 11)

        def forward(self, x: Tensor) -> Tensor:
            return torch.sigmoid(self.conv(self.pad(x)))

    sys.modules["own_networks"].Padded = Padded  # type: ignore[attr-defined]
    try:
        source = examine(OwnRequest(module="own_networks:Padded", image_shape=SHAPE, multiple_of=2))
    finally:
        del sys.modules["own_networks"].Padded  # type: ignore[attr-defined]
    assert (source.model.image.multiple_of, source.model.image.minimum) == (2, 6)
    assert any("at least 6 pixels" in note for note in source.notes)


def test_older_weight_normalisation_can_be_copied() -> None:
    def normed() -> nn.Module:
        with pytest.warns(FutureWarning, match="weight_norm"):
            return nn.Sequential(nn.utils.weight_norm(nn.Conv2d(1, 1, 3, padding=1)), nn.Sigmoid())

    sys.modules["own_networks"].normed = normed  # type: ignore[attr-defined]
    try:
        source = examine(OwnRequest(module="own_networks:normed", image_shape=SHAPE))
    finally:
        del sys.modules["own_networks"].normed  # type: ignore[attr-defined]
    assert source.model.latent is None


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    request = OwnRequest(module="own_networks:VAE", image_shape=SHAPE, outputs=("latent", "logvar"))
    return export_own(examine(request), tmp_path_factory.mktemp("own") / "vae", ["torchscript"], parity=False).bundle


def test_a_bundle_gives_its_model_back_to_whoever_trusts_it(exported: Bundle) -> None:
    image = torch.rand(2, *SHAPE)
    with pytest.raises(ConfigError, match="--module own_networks:VAE"):
        open_graph(exported, "encoder", backend="eager")
    trust("own_networks:VAE")
    with (
        open_graph(exported, "encoder", backend="eager") as eager,
        open_graph(exported, "encoder", format="torchscript") as graph,
    ):
        wanted, found = eager.run({"image": image.numpy()}), graph.run({"image": image.numpy()})
    for name in ("latent", "logvar"):
        torch.testing.assert_close(torch.from_numpy(found[name]), torch.from_numpy(wanted[name]))


def test_code_that_has_changed_since_is_noticed(
    exported: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = open_bundle(shutil.copytree(exported.path, tmp_path / "copy"))
    trust("own_networks:VAE")
    monkeypatch.setattr(nets.VAE, "encode", lambda self, x: (torch.zeros(len(x), 9), torch.zeros(len(x), 9)))
    with pytest.raises(IntegrityError, match="code of own_networks:VAE has changed"):
        load_model(bundle)
    monkeypatch.undo()
    trust("own_networks:VAE")
    monkeypatch.setattr(nets, "VAE", lambda: nets.TupleForward())
    with pytest.raises((IntegrityError, ConfigError, ExportError)):
        load_model(bundle)
