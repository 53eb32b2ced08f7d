"""ncnn's files: called and shaped as the contract says; what cannot be converted is refused by its name."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.manifest import ROLES
from aedeploy.errors import ExportError
from aedeploy.export import export_bundle
from aedeploy.export.formats import _pnnx
from aedeploy.export.formats.torchscript import saved, trace
from aedeploy.export.split import Graph, split
from aedeploy.models.load import load_model
from aedeploy.runtime.codec import Codec


@pytest.fixture(scope="module")
def ncnn() -> Any:
    pytest.importorskip("pnnx")
    return pytest.importorskip("ncnn")


@pytest.fixture(scope="module", params=["mlp-32", "vq-vae"])
def exported(
    request: pytest.FixtureRequest,
    ncnn: Any,
    trained_bundles: dict[str, Bundle],
    tmp_path_factory: pytest.TempPathFactory,
) -> Bundle:
    path = shutil.copytree(trained_bundles[request.param].path, tmp_path_factory.mktemp("ncnn") / request.param)
    return export_bundle(open_bundle(path), ["ncnn"], parity=False).bundle


class TestFiles:
    def test_blobs_are_called_and_shaped_as_the_contract_says(self, exported: Bundle, ncnn: Any) -> None:
        """In ncnn itself, which knows nothing of a contract: so will a program on a phone find them."""
        sizes = {"height": 28, "width": 28, "latent_height": 7, "latent_width": 7}
        for record in exported.manifest.graphs:
            assert record.data is not None
            net = ncnn.Net()
            assert net.load_param(str(exported.file(record.file))) == 0
            assert net.load_model(str(exported.file(record.data))) == 0
            assert net.input_names() == [spec.name for spec in record.inputs]
            assert sorted(net.output_names()) == sorted(spec.name for spec in record.outputs)
            extractor = net.create_extractor()
            shapes = {
                spec.name: tuple(sizes[size] if isinstance(size, str) else size for size in spec.shape[1:])
                for spec in (*record.inputs, *record.outputs)
            }
            for spec in record.inputs:
                assert extractor.input(spec.name, ncnn.Mat(np.zeros(shapes[spec.name], np.float32)).clone()) == 0
            for spec in record.outputs:
                status, blob = extractor.extract(spec.name)
                assert (status, np.array(blob).shape) == (0, shapes[spec.name])

    def test_weights_are_not_halved_in_silence(self, exported: Bundle) -> None:
        record = exported.graph("decoder", "ncnn")
        assert record.data is not None
        weights = sum(p.numel() for p in load_model(exported).module.decoder.parameters())  # type: ignore[union-attr]
        assert record.data.bytes >= 4 * weights

    def test_what_it_says_of_itself_is_behind_what_ncnn_reads(self, exported: Bundle) -> None:
        for record in exported.manifest.graphs:
            lines = exported.file(record.file).read_text(encoding="ascii").splitlines()
            layers, blobs = map(int, lines[1].split())
            assert len(lines) == layers + 3
            assert sum(int(line.split()[3]) for line in lines[2:-1]) == blobs
            assert json.loads(lines[-1].removeprefix("aedeploy.json "))["aedeploy.role"] == record.role


class Around(nn.Module):
    """A graph with something done after it."""

    def __init__(self, inner: nn.Module, after: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self._after = inner, after

    def forward(self, given: Tensor) -> Tensor:
        out: Tensor = self._after(self.inner(given))
        return out


@pytest.fixture(scope="module")
def encoder(ncnn: Any, trained_bundles: dict[str, Bundle]) -> Graph:
    samples = np.zeros((4, 28, 28, 1), np.uint8)
    graphs = split(load_model(trained_bundles["conv"]), {role: {} for role in ROLES}, samples)
    return next(graph for graph in graphs if graph.role == "encoder")


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (lambda z: z.sort(1).values, "ncnn has no layer for aten::sort, which the encoder needs"),
        (
            lambda z: z.softmax(0),
            "pnnx cannot convert the encoder to ncnn: softmax along batch axis 0 is not supported",
        ),
        (lambda z: z.permute(1, 0, 2, 3), "pnnx does not find the batch in front in the encoder"),
        (lambda z: z.std(1), "ncnn has no layer for torch.std, which the encoder needs"),
        (lambda z: z + z.argmin(), "PyTorch could not trace the encoder: argmin and argmax over a whole tensor"),
    ],
    ids=["sort", "over the batch", "batch moved", "deviation", "over a whole tensor"],
)
def test_what_ncnn_has_not_is_refused_by_its_name(
    encoder: Graph, tmp_path: Path, after: Callable[[Tensor], Tensor], why: str
) -> None:
    from aedeploy.export.formats import ncnn as writer

    graph = replace(encoder, module=Around(encoder.module, after).eval())
    with pytest.raises(ExportError, match=why) as raised:
        writer.write(graph, tmp_path / "encoder.param", {})
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_the_model_is_not_changed_by_writing_it(encoder: Graph, tmp_path: Path) -> None:
    """Other formats are written from the same one."""
    from aedeploy.export.formats import ncnn as writer

    before = {name: tensor.clone() for name, tensor in encoder.module.state_dict().items()}
    writer.write(encoder, tmp_path / "encoder.param", {})
    after = encoder.module.state_dict()
    assert {name: tensor.dtype for name, tensor in before.items()} == {name: t.dtype for name, t in after.items()}
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


class TestPnnx:
    @pytest.fixture(autouse=True)
    def _installed(self, ncnn: Any) -> None: ...

    @pytest.fixture
    def torchscript(self) -> bytes:
        return saved(trace(lambda x: x * 2.0, (torch.zeros(1, 3),), "encoder"), {})

    def test_what_is_no_graph_is_an_error(self) -> None:
        with pytest.raises(ExportError, match=r"pnnx could not convert the encoder \(exit status \d+\): \w+"):
            _pnnx.convert(b"no graph", [[(1, 3)]], "encoder")

    def test_its_death_is_an_error(self, trained_bundles: dict[str, Bundle]) -> None:
        """As a module, with the head of log-variances that nothing takes: why graphs are traced as functions."""
        graphs = split(
            load_model(trained_bundles["kl-conv"]), {r: {} for r in ROLES}, np.zeros((4, 28, 28, 1), np.uint8)
        )
        graph = next(graph for graph in graphs if graph.role == "autoencoder")
        example = graph.example[0][:1]
        traced = trace(graph.module, (example,), "autoencoder")
        with pytest.raises(ExportError, match="pnnx died of SIGSEGV on the autoencoder"):
            _pnnx.convert(saved(traced, {}), [[example.shape]], "autoencoder")

    def test_one_that_does_not_end_is_ended(self, torchscript: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_pnnx, "_PATIENCE", 0.001)
        with pytest.raises(ExportError, match="pnnx was not done with the encoder"):
            _pnnx.convert(torchscript, [[(1, 3)]], "encoder")

    def test_one_that_cannot_be_started_is_an_error(
        self, torchscript: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_pnnx, "_program", lambda: tmp_path / "nonesuch")
        with pytest.raises(ExportError, match="pnnx cannot be started: No such file"):
            _pnnx.convert(torchscript, [[(1, 3)]], "encoder")


def test_the_program_of_the_page_gives_the_latent(
    ncnn: Any, trained_bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(import ncnn.*?)```", page, re.DOTALL)
    path = shutil.copytree(trained_bundles["mlp-32"].path, tmp_path / "bundle")
    bundle = export_bundle(open_bundle(path), ["ncnn"], parity=False).bundle
    for suffix in (".param", ".bin"):
        shutil.copy(bundle.path / f"graphs/ncnn/encoder{suffix}", tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (50, 40), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with Codec(bundle, backend="eager") as codec:
        want = codec.encode([tmp_path / "image.png"])[0]
    np.testing.assert_allclose(json.loads(done.stdout), want, rtol=1e-5, atol=1e-5)
