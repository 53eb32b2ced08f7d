"""A graph that takes the noise wrongly: what a faulty exporter would write, and what only sigma shows."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from parity.test_sabotage_formats import FLOAT_FORMATS
from small_denoiser import write_small_denoiser
from torch import Tensor, nn

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.golden import load_samples
from aedeploy.bundle.manifest import ROLES, Pixels
from aedeploy.bundle.store import record_file
from aedeploy.export import export_bundle
from aedeploy.export.run import FORMATS
from aedeploy.export.split import split
from aedeploy.models.load import load_model
from aedeploy.names import load_named
from aedeploy.parity.check import check_parity
from aedeploy.parity.report import COMPOSED
from aedeploy.parity.verify import verify_bundle

Change = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def _map(change: Callable[[Tensor], Tensor]) -> Change:
    return lambda image, sigma: (image, change(sigma))


def _everywhere_the_mean(sigma: Tensor) -> Tensor:
    mean: Tensor = sigma.mean((2, 3), keepdim=True).expand_as(sigma)
    return mean


CHANGES: dict[str, Change] = {
    "ignored": _map(lambda sigma: sigma * 0 + 25),
    "left out": _map(lambda sigma: sigma * 0),
    "its first value for all": _map(lambda sigma: sigma * 0 + sigma[:, :, :1, :1]),
    "its mean for all": _map(_everywhere_the_mean),
    "the first image's for the batch": _map(lambda sigma: sigma[:1].expand_as(sigma)),
    "upside down": _map(lambda sigma: sigma.flip(2)),
    "mirrored": _map(lambda sigma: sigma.flip(3)),
    "one column off": _map(lambda sigma: sigma.roll(1, 3)),
    "in parts of one": _map(lambda sigma: sigma / 255),
    "in levels twice": _map(lambda sigma: sigma * 255),
    "clipped at 1": _map(lambda sigma: sigma.clamp(max=1)),
    "clipped at 50": _map(lambda sigma: sigma.clamp(max=50)),
    "rounded": _map(lambda sigma: sigma.round()),
    "half a per cent off": _map(lambda sigma: sigma * 1.005),
}

#: In formats other than ONNX.
_EVERYWHERE = ("its first value for all", "clipped at 1", "mirrored")


class Misled(nn.Module):
    """A graph that is given something else than it should be."""

    def __init__(self, inner: nn.Module, change: Change) -> None:
        super().__init__()
        self.inner, self._change = inner, change

    def forward(self, image: Tensor, sigma: Tensor) -> Any:
        return self.inner(*self._change(image, sigma))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A grey denoiser that can be cut, in every float format, of both kinds of pixels."""
    bundle = write_small_denoiser(tmp_path_factory.mktemp("sigma") / "sound", skips=False)
    for pixels in ("float32", "uint8"):
        bundle = export_bundle(bundle, FLOAT_FORMATS, pixels=pixels).bundle
    return bundle


def spoilt(sound: Bundle, path: Path, format: str, pixels: Pixels, role: str, change: Change) -> Bundle:
    """A bundle of one variant, in which one graph is misled."""
    bundle = open_bundle(shutil.copytree(sound.path, path))
    own = tuple(g for g in bundle.manifest.graphs if (g.format, g.pixels) == (format, pixels))
    bundle = bundle.save(bundle.manifest.model_copy(update={"graphs": own}))
    record = bundle.graph(role, format, pixels)
    samples = load_samples(bundle.file(bundle.manifest.golden))
    graphs = split(load_model(bundle), {r: {} for r in ROLES}, samples, pixels)
    graph = next(graph for graph in graphs if graph.role == role)
    changed = replace(graph, module=Misled(graph.module, change).eval(), converted={})
    load_named(FORMATS, format, "format").write(changed, bundle.path / record.file.path, {})
    files = {"file": record_file(bundle.path, record.file.path)}
    if record.data is not None:
        files["data"] = record_file(bundle.path, record.data.path)
    return bundle.with_graphs([record.model_copy(update=files)])


def test_a_sound_bundle_passes(sound: Bundle) -> None:
    assert check_parity(sound).failures() == []
    assert verify_bundle(sound).failures() == []


@pytest.mark.parametrize("name", CHANGES)
def test_a_wrong_map_fails(sound: Bundle, tmp_path: Path, name: str) -> None:
    _fails(spoilt(sound, tmp_path / "spoilt", "onnx", "float32", "autoencoder", CHANGES[name]), "autoencoder")


@pytest.mark.parametrize("name", _EVERYWHERE)
def test_a_wrong_map_of_an_encoder_fails(sound: Bundle, tmp_path: Path, name: str) -> None:
    _fails(spoilt(sound, tmp_path / "spoilt", "onnx", "uint8", "encoder", CHANGES[name]), "encoder")


@pytest.mark.parametrize("name", _EVERYWHERE)
@pytest.mark.parametrize("format", [format for format in FLOAT_FORMATS if format != "onnx"])
def test_a_wrong_map_fails_in_every_format(sound: Bundle, tmp_path: Path, format: str, name: str) -> None:
    _fails(spoilt(sound, tmp_path / "spoilt", format, "float32", "autoencoder", CHANGES[name]), "autoencoder")


def test_a_map_that_lies_on_its_side_does_not_fit(sound: Bundle, tmp_path: Path) -> None:
    """Images of other sizes are not square: there it does not run, and the reason says so."""

    def on_its_side(sigma: Tensor) -> Tensor:
        return sigma.transpose(2, 3)

    bundle = spoilt(sound, tmp_path / "spoilt", "torchscript", "float32", "autoencoder", _map(on_its_side))
    _fails(bundle, "autoencoder")


def test_image_and_map_swapped_fail(sound: Bundle, tmp_path: Path) -> None:
    """Of a grey image both have the same shape."""

    def swapped(image: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        return sigma, image

    _fails(spoilt(sound, tmp_path / "spoilt", "onnx", "float32", "autoencoder", swapped), "autoencoder")


def test_a_parity_check_tells_graphs_of_the_noise_at_every_batch_and_size(sound: Bundle) -> None:
    report = check_parity(sound, [("onnx", "float32")])
    (found,) = [graph for graph in report.graphs if graph.role == "autoencoder"]
    assert {case.batch for case in found.cases} >= {1, 2, 7, 64}
    assert len({case.size for case in found.cases}) == 3


def _fails(bundle: Bundle, role: str) -> None:
    report = check_parity(bundle)
    failed = {graph.role for graph in report.graphs if not graph}
    assert role in failed
    assert failed <= {role, COMPOSED}
    name = f"{bundle.manifest.graphs[0].variant} {role}: "
    assert any(sentence.startswith(name) for sentence in report.failures())
    assert any(sentence.startswith(name) for sentence in verify_bundle(bundle).failures())
