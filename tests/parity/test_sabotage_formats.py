"""A wrong export in every float format, of either kind of pixels: what a faulty exporter would write must not pass.

Each mutation is made to the model before it is written, so that it is the same one in every format.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from aedeploy.bundle import Bundle, GraphRecord, open_bundle
from aedeploy.bundle.golden import load_samples
from aedeploy.bundle.manifest import ROLES, Pixels
from aedeploy.bundle.store import record_file
from aedeploy.cli.app import app
from aedeploy.errors import ExportError
from aedeploy.export import export_bundle
from aedeploy.export.run import FORMATS
from aedeploy.export.split import BytesIn, BytesOut, split
from aedeploy.models.load import load_model
from aedeploy.names import load_named
from aedeploy.parity.check import check_parity, record_parity
from aedeploy.parity.report import COMPOSED
from aedeploy.parity.tolerances import FLOAT32, tolerances_of
from aedeploy.parity.verify import verify_bundle
from aedeploy.runtime.open import is_runnable

run = CliRunner().invoke

#: The formats that compute in float32 and can be written here.
FLOAT_FORMATS = [
    name
    for name in ("onnx", "torchscript", "exported-program", "openvino", "ort", "ncnn")
    if tolerances_of(name) == FLOAT32 and is_runnable(name) and not load_named(FORMATS, name, "format").missing()
]


class Around(nn.Module):
    """A graph with something done before it, or after it."""

    def __init__(
        self,
        inner: nn.Module,
        before: Callable[[Tensor], Tensor] | None = None,
        after: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.inner, self._before, self._after = inner, before, after

    def forward(self, given: Tensor) -> Any:
        result = self.inner(given if self._before is None else self._before(given))
        if self._after is None:
            return result
        return tuple(map(self._after, result)) if isinstance(result, tuple) else self._after(result)


def _before(change: Callable[[Tensor], Tensor]) -> Callable[[nn.Module], nn.Module]:
    return lambda module: Around(module, before=change)


def _after(change: Callable[[Tensor], Tensor]) -> Callable[[nn.Module], nn.Module]:
    return lambda module: Around(module, after=change)


def _weights(change: Callable[[Tensor], None]) -> Callable[[nn.Module], nn.Module]:
    """Change every weight in place."""

    def mutate(module: nn.Module) -> nn.Module:
        with torch.no_grad():
            for weight in module.parameters():
                if weight.numel():
                    change(weight)
        return module

    return mutate


def _one_weight(by: float) -> Callable[[nn.Module], nn.Module]:
    def mutate(module: nn.Module) -> nn.Module:
        with torch.no_grad():
            largest = max(module.parameters(), key=lambda weight: weight.numel())
            largest.view(-1)[largest.numel() // 2] += by
        return module

    return mutate


def _nan_in_one_channel(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        [weight for weight in module.parameters() if weight.ndim > 1 and weight.numel()][-1][0] = float("nan")
    return module


def _no_normalisation(module: nn.Module) -> nn.Module:
    for name, buffer in module.named_buffers():
        if name.endswith("normalisation.mean"):
            buffer.zero_()
        if name.endswith("normalisation.std"):
            buffer.fill_(1.0)
    return module


def _half(weight: Tensor) -> None:
    weight.copy_(weight.half().float())


def _first_three(latent: Tensor) -> Tensor:
    return latent * (torch.arange(latent.shape[0]) < 3).unsqueeze(1)


class Truncating(nn.Module):
    """BytesOut as it is often written: the fraction is cut off, not rounded."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, given: Tensor) -> Tensor:
        out: Tensor = (self.inner(given) * 255.0).to(torch.uint8).permute(0, 2, 3, 1)
        return out


class WrongScale(nn.Module):
    """BytesIn with 256 in the place of 255."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, image: Tensor) -> Any:
        return self.inner(image.permute(0, 3, 1, 2).to(torch.float32) / 256.0)


def _of(kind: type[nn.Module], other: type[nn.Module]) -> Callable[[nn.Module], nn.Module]:
    """The outermost wrapper of that kind replaced by another."""

    def mutate(module: nn.Module) -> nn.Module:
        if isinstance(module, kind):
            inner: nn.Module = module.inner  # type: ignore[assignment]
            return other(inner)
        assert isinstance(module.inner, kind)
        module.inner = other(module.inner.inner)  # type: ignore[arg-type]
        return module

    return mutate


class Unclamped(nn.Module):
    """The decoder without its last step."""

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.model = graph.model

    def forward(self, latent: Tensor) -> Tensor:
        model: Any = self.model
        raw: Tensor = model.normalisation.inverse(model.activate(model.decoder(latent)))
        return raw


def _without_clamp(module: nn.Module) -> nn.Module:
    if isinstance(module, BytesOut):
        module.inner = Unclamped(module.inner)
        return module
    return Unclamped(module)


@dataclass(frozen=True, kw_only=True)
class Mutation:
    name: str
    role: str
    change: Callable[[nn.Module], nn.Module]
    golden: bool = True  # whether the golden vectors tell as well: they are real images only
    pixels: tuple[Pixels, ...] = ("float32", "uint8")


def _height(pixels: Pixels) -> int:
    return 1 if pixels == "uint8" else 2


def _channels(pixels: Pixels) -> int:
    return 3 if pixels == "uint8" else 1


def _mutations(pixels: Pixels) -> list[Mutation]:
    rows, channels = _height(pixels), _channels(pixels)
    images = {"encoder": _before, "decoder": _after, "autoencoder": _before}
    found = [
        Mutation(name="one weight off by 1e-3", role="encoder", change=_one_weight(1e-3)),
        Mutation(name="a decoder's weight off by 1e-3", role="decoder", change=_one_weight(1e-3), golden=False),
        Mutation(name="a whole's weight off by 1e-2", role="autoencoder", change=_one_weight(1e-2), golden=False),
        Mutation(name="normalisation dropped", role="encoder", change=_no_normalisation),
        Mutation(name="normalisation of the decoder dropped", role="decoder", change=_no_normalisation),
        Mutation(name="latent reversed", role="encoder", change=_after(lambda latent: latent.flip(1))),
        Mutation(name="latent taken in reverse", role="decoder", change=_before(lambda latent: latent.flip(1))),
        Mutation(name="latent transposed", role="encoder", change=_after(lambda z: z.view(-1, 2, 4).mT.flatten(1))),
        Mutation(name="latent negated", role="encoder", change=_after(torch.neg)),
        Mutation(name="NaN in one channel", role="encoder", change=_nan_in_one_channel),
        Mutation(name="weights in half precision", role="encoder", change=_weights(_half)),
        Mutation(name="weights of the decoder in half precision", role="decoder", change=_weights(_half), golden=False),
        Mutation(name="clamp dropped", role="decoder", change=_without_clamp, golden=False),
        Mutation(name="three images of a batch only", role="encoder", change=_after(_first_three), golden=False),
        Mutation(name="batch averaged", role="encoder", change=_after(lambda z: z - z.mean(0) * 1e-3)),
    ]
    for role, where in images.items():
        found += [
            Mutation(name=f"channels swapped in the {role}", role=role, change=where(lambda x: x.flip(channels))),
            Mutation(name=f"image flipped in the {role}", role=role, change=where(lambda x: x.flip(rows + 1))),
            Mutation(name=f"upside down in the {role}", role=role, change=where(lambda x: x.flip(rows))),
            Mutation(name=f"one row off in the {role}", role=role, change=where(lambda x: x.roll(1, rows))),
            Mutation(name=f"transposed in the {role}", role=role, change=where(lambda x: x.transpose(rows, rows + 1))),
        ]
    if pixels == "uint8":
        found += [
            Mutation(name="truncated", role="decoder", change=_of(BytesOut, Truncating)),
            Mutation(name="truncated whole", role="autoencoder", change=_of(BytesOut, Truncating)),
            Mutation(name="divided by 256", role="encoder", change=_of(BytesIn, WrongScale)),
            Mutation(name="divided by 256 in the whole", role="autoencoder", change=_of(BytesIn, WrongScale)),
        ]
    else:
        found.append(Mutation(name="sigmoid twice", role="decoder", change=_after(torch.sigmoid)))
    return found


#: In formats other than ONNX those of which each format could have its own way of going wrong.
_EVERYWHERE = {
    "one weight off by 1e-3",
    "channels swapped in the encoder",
    "normalisation dropped",
    "latent transposed",
    "NaN in one channel",
    "three images of a batch only",
    "weights in half precision",
    "truncated",
}

#: What a graph without a batch cannot do wrong.
_OF_BATCHES = {"three images of a batch only"}

#: Of other formats than ONNX, what is tried in every run; all else is with the slow tests.
_QUICK = {"weights in half precision", "latent transposed", "NaN in one channel"}

_CASES = [
    pytest.param(
        format,
        pixels,
        mutation,
        id=f"{format} {pixels}: {mutation.name}",
        # The same faults as in onnx's, of floats: a writer adds few of its own.
        marks=pytest.mark.slow if format != "onnx" and (pixels == "uint8" or mutation.name not in _QUICK) else (),
    )
    for format in FLOAT_FORMATS
    for pixels in ("float32", "uint8")
    for mutation in _mutations(pixels)
    if format == "onnx" or mutation.name in _EVERYWHERE
    if format != "ncnn" or mutation.name not in _OF_BATCHES
]


@pytest.fixture(scope="module")
def sound(trained_bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Colour images of 8×8, standardised, a latent of 8: in every float format, of both kinds of pixels."""
    path = tmp_path_factory.mktemp("sound") / "sound"
    bundle = open_bundle(shutil.copytree(trained_bundles["standardised-rgb"].path, path))
    for pixels in ("float32", "uint8"):
        bundle = export_bundle(bundle, FLOAT_FORMATS, pixels=pixels).bundle
    return bundle


def spoilt(
    sound: Bundle, path: Path, format: str, pixels: Pixels, role: str, change: Callable[[nn.Module], nn.Module]
) -> Bundle:
    """A bundle of one variant, in which one graph was written from a model that was changed."""
    bundle = open_bundle(shutil.copytree(sound.path, path))
    own = tuple(g for g in bundle.manifest.graphs if (g.format, g.pixels) == (format, pixels))
    bundle = bundle.save(bundle.manifest.model_copy(update={"graphs": own}))
    record = bundle.graph(role, format, pixels)
    samples = load_samples(bundle.file(bundle.manifest.golden))
    graphs = split(load_model(bundle), {r: {} for r in ROLES}, samples, pixels)
    graph = next(graph for graph in graphs if graph.role == role)
    changed = replace(graph, module=change(graph.module).eval(), converted={})
    load_named(FORMATS, format, "format").write(changed, bundle.path / record.file.path, {})
    return bundle.with_graphs([_vouched(bundle, record)])


def _vouched(bundle: Bundle, record: GraphRecord) -> GraphRecord:
    """The record of a graph for the files that are there now."""
    files = {"file": record_file(bundle.path, record.file.path)}
    if record.data is not None:
        files["data"] = record_file(bundle.path, record.data.path)
    return record.model_copy(update=files)


def test_a_sound_bundle_passes(sound: Bundle) -> None:
    """Without which all that follows would prove nothing."""
    report = check_parity(sound)
    assert report.failures() == []
    assert verify_bundle(sound).failures() == []


@pytest.mark.parametrize(("format", "pixels", "mutation"), _CASES)
def test_a_wrong_export_fails(sound: Bundle, tmp_path: Path, format: str, pixels: Pixels, mutation: Mutation) -> None:
    bundle = spoilt(sound, tmp_path / "spoilt", format, pixels, mutation.role, mutation.change)
    report = check_parity(bundle)
    failed = {graph.role for graph in report.graphs if not graph}
    assert mutation.role in failed
    assert failed <= {mutation.role, COMPOSED}
    name = f"{bundle.manifest.graphs[0].variant} {mutation.role}: "
    assert any(sentence.startswith(name) for sentence in report.failures())
    recorded = record_parity(bundle, report)
    assert recorded.manifest.graph(mutation.role, format, pixels).parity == "failed"  # type: ignore[union-attr]
    if mutation.golden:
        assert any(sentence.startswith(name) for sentence in verify_bundle(bundle).failures())


@pytest.mark.parametrize("format", FLOAT_FORMATS)
def test_the_command_ends_with_exit_code_5(sound: Bundle, tmp_path: Path, format: str) -> None:
    bundle = spoilt(sound, tmp_path / "spoilt", format, "float32", "encoder", _one_weight(1e-3))
    for command in ("verify", "parity", "verify"):
        result = run(app, [command, str(bundle.path), "--quiet"])
        assert result.exit_code == 5, result.stdout
        assert f"{format} encoder" in result.stderr


def test_a_bundle_whose_halves_are_of_different_epochs_fails(
    sound: Bundle, trained_bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    """A decoder that was exported before training went on: each half is a good model's."""
    other = load_model(trained_bundles["other-rgb"]).module

    def of_the_other(module: nn.Module) -> nn.Module:
        module.model.decoder.load_state_dict(other.decoder.state_dict())  # type: ignore[union-attr]
        return module

    bundle = spoilt(sound, tmp_path / "spoilt", "onnx", "float32", "decoder", of_the_other)
    assert {graph.role for graph in check_parity(bundle).graphs if not graph} == {"decoder", COMPOSED}
    assert any("onnx decoder" in sentence for sentence in verify_bundle(bundle).failures())


def test_latent_and_logvar_swapped_fail(trained_bundles: dict[str, Bundle], tmp_path: Path) -> None:
    path = shutil.copytree(trained_bundles["vae"].path, tmp_path / "vae")
    bundle = export_bundle(open_bundle(path), ["onnx"]).bundle
    assert bundle.manifest.latent is not None
    assert bundle.manifest.latent.distribution == "gaussian"

    class Swapped(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
            latent, logvar = self.inner(image)
            return logvar, latent

    wrong = spoilt(bundle, tmp_path / "spoilt", "onnx", "float32", "encoder", Swapped)
    report = check_parity(wrong)
    assert "encoder" in {graph.role for graph in report.graphs if not graph}
    assert any("onnx encoder: latent" in sentence for sentence in verify_bundle(wrong).failures())


@pytest.mark.parametrize("epsilon", [pytest.param(1e-3, marks=pytest.mark.slow), None])
def test_batch_norm_that_is_not_what_was_trained_fails(
    trained_bundles: dict[str, Bundle], tmp_path: Path, epsilon: float | None
) -> None:
    """Of another ε (PyTorch's is 1e-5, Keras's 1e-3), or left in training mode, where a batch normalises itself."""
    path = shutil.copytree(trained_bundles["deep-conv"].path, tmp_path / "deep-conv")
    bundle = export_bundle(open_bundle(path), ["torchscript"]).bundle

    class Training(nn.BatchNorm2d):
        def forward(self, x: Tensor) -> Tensor:
            variance, mean = torch.var_mean(x, (0, 2, 3), correction=0, keepdim=True)
            weight, bias = (part.view(1, -1, 1, 1) for part in (self.weight, self.bias))
            return (x - mean) / (variance + self.eps).sqrt() * weight + bias

    def change(module: nn.Module) -> nn.Module:
        norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
        assert norms
        for norm in norms:
            if epsilon is not None:
                norm.eps = epsilon
            else:
                norm.__class__ = Training
        return module

    wrong = spoilt(bundle, tmp_path / "spoilt", "torchscript", "float32", "encoder", change)
    assert "encoder" in {graph.role for graph in check_parity(wrong).graphs if not graph}
    assert any("torchscript encoder" in sentence for sentence in verify_bundle(wrong).failures())


def test_a_batch_baked_into_a_format_fails(sound: Bundle, tmp_path: Path) -> None:
    """TorchScript keeps the number that a view was traced with; the other formats refuse to be written."""

    def baked(module: nn.Module) -> nn.Module:
        return Around(module, after=lambda latent: latent.reshape(3, 8))

    for format in FLOAT_FORMATS:
        try:
            bundle = spoilt(sound, tmp_path / format, format, "float32", "encoder", baked)
        except ExportError as error:
            assert "encoder" in str(error)  # noqa: PT017 - one of two ways of failing
            continue
        report = check_parity(bundle)
        assert any(sentence.startswith(f"{format} encoder: ") for sentence in report.failures())


@pytest.mark.skipif("openvino" not in FLOAT_FORMATS, reason="openvino is not installed")
def test_openvinos_own_precision_fails(sound: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """bfloat16, which it takes by default where the processor has it."""
    import openvino

    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no bfloat16")
    compile_model = openvino.Core.compile_model

    def in_bfloat16(core: Any, model: Any, device: str, settings: dict[str, Any]) -> Any:
        return compile_model(core, model, device, {**settings, "INFERENCE_PRECISION_HINT": "bf16"})

    monkeypatch.setattr(openvino.Core, "compile_model", in_bfloat16)
    report = check_parity(sound, [("openvino", "float32")])
    assert {"encoder", "decoder", "autoencoder"} <= {graph.role for graph in report.graphs if not graph}
    assert any("openvino" in sentence for sentence in verify_bundle(sound).failures())


def test_the_mutations_are_of_weights_that_matter(sound: Bundle) -> None:
    """A change that changes nothing would prove nothing: of 40 weights of the encoder, each is told by its figures."""
    samples = load_samples(sound.file(sound.manifest.golden))
    model = load_model(sound)
    graph = next(g for g in split(model, {r: {} for r in ROLES}, samples) if g.role == "encoder")
    inputs = graph.real_inputs(samples)
    expected = graph.reference(inputs)["latent"]
    limit = FLOAT32.latent.limit(expected)
    assert limit is not None
    weight = max(graph.module.parameters(), key=lambda weight: weight.numel())
    for at in np.linspace(0, weight.numel() - 1, 40).astype(int):
        with torch.no_grad():
            before = weight.view(-1)[at].item()
            weight.view(-1)[at] += 1e-3
            assert np.abs(graph.reference(inputs)["latent"] - expected).max() > limit
            weight.view(-1)[at] = before
