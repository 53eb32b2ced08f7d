"""Each bottleneck against its definition, worked out by hand, and in every exported format against PyTorch."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from aedeploy.errors import ConfigError
from aedeploy.export.run import FORMATS
from aedeploy.export.split import Graph, split
from aedeploy.models.bottlenecks import batch_topk as batch
from aedeploy.models.bottlenecks import fsq, gaussian, relu, sigmoid, top_k, vq
from aedeploy.models.build import BuiltModel, build_model, resolve_model
from aedeploy.names import load_named, names_in
from aedeploy.parity.compare import Comparison
from aedeploy.parity.decisions import compare_all

#: A table of every bottleneck, as small as it makes sense; of those that take either, vector and spatial.
TABLES: dict[str, dict[str, Any]] = {
    "identity": {"name": "identity"},
    "relu": {"name": "relu"},
    "sigmoid": {"name": "sigmoid"},
    "gaussian": {"name": "gaussian"},
    "gaussian-softplus": {"name": "gaussian", "scale": "softplus"},
    "gaussian-exp": {"name": "gaussian", "scale": "exp"},
    "top-k": {"name": "top-k", "k": 2},
    "top-k-relu": {"name": "top-k", "k": 2, "activation": "relu"},
    "batch-topk": {"name": "batch-topk", "k": 2},
    "vq": {"name": "vq", "codebook_size": 8},
    "fsq": {"name": "fsq", "levels": [5, 4, 3, 2]},
}
QUANTISED = ("vq", "fsq")
CASES = [(name, "spatial") for name in TABLES] + [(name, "vector") for name in TABLES if name not in QUANTISED]


def model_table(name: str, kind: str) -> dict[str, Any]:
    backbone = {"name": "conv", "channels": 4, "stages": 2, "blocks": 0, "latent": kind}
    return {"latent_dim": 4, "output": "linear", "backbone": backbone, "bottleneck": TABLES[name]}


def built_for(name: str, kind: str) -> BuiltModel:
    """A model for 8×8 images, taken through two batches, so that what is learned from batches is there."""
    torch.manual_seed(0)
    built = build_model(model_table(name, kind), (1, 8, 8))
    for _ in range(2):
        image = torch.rand(16, 1, 8, 8)
        built.module.training_pass(image, image)
    built.module.eval()
    return built


def as_is() -> nn.Module:
    """A head that gives the features themselves, so that a latent is worked out from the numbers of a test."""
    return nn.Identity()


def test_every_bottleneck_of_the_folder_is_tested_here() -> None:
    assert {table["name"] for table in TABLES.values()} == set(names_in("aedeploy.models.bottlenecks"))


@pytest.mark.parametrize(("name", "kind"), CASES)
class TestEveryBottleneck:
    def test_gives_what_it_says_it_gives(self, name: str, kind: str) -> None:
        built = built_for(name, kind)
        bottleneck, image = built.module.bottleneck, torch.rand(3, 1, 8, 8)
        with torch.inference_mode():
            code = built.module.encode(image)
        assert tuple(code) == bottleneck.outputs
        latent = code["latent"]
        assert latent.shape == ((3, 4, 2, 2) if kind == "spatial" else (3, 4))
        assert ("logvar" in code) == (bottleneck.distribution == "gaussian")
        assert ("indices" in code) == bottleneck.quantises == (bottleneck.codebook_size is not None)
        if bottleneck.latent_range != "any":
            assert latent.min() >= 0.0
        if bottleneck.latent_range == "unit":
            assert latent.max() <= 1.0
        assert bottleneck.masks == (name.startswith(("top-k", "batch-topk")))
        contract = built.latent
        assert (contract.codebook_size, contract.masked) == (bottleneck.codebook_size, bottleneck.masks)

    def test_in_eval_mode_the_training_code_is_the_code_and_nothing_is_learned(self, name: str, kind: str) -> None:
        built = built_for(name, kind)
        features = built.module.features(torch.rand(3, 1, 8, 8))
        before = {key: value.clone() for key, value in built.module.state_dict().items()}
        code, training = built.module.bottleneck(features), built.module.bottleneck.training_code(features)
        for key, value in code.items():
            assert torch.equal(training[key], value)
        assert all(torch.equal(value, before[key]) for key, value in built.module.state_dict().items())

    def test_without_gradients_nothing_is_learned(self, name: str, kind: str) -> None:
        built = built_for(name, kind)
        built.module.train()
        before = {key: value.clone() for key, value in built.module.state_dict().items()}
        with torch.no_grad():
            built.module.bottleneck.training_code(built.module.features(torch.rand(3, 1, 8, 8)))
        assert all(torch.equal(value, before[key]) for key, value in built.module.state_dict().items())

    def test_comes_back_from_its_weights(self, name: str, kind: str) -> None:
        built, image = built_for(name, kind), torch.rand(3, 1, 8, 8)
        other = build_model(model_table(name, kind), (1, 8, 8)).module.eval()
        other.load_state_dict(built.module.state_dict())
        with torch.inference_mode():
            for key, value in built.module.encode(image).items():
                assert torch.equal(other.encode(image)[key], value)

    def test_trains_under_bf16_autocast(self, name: str, kind: str) -> None:
        torch.manual_seed(0)
        module, image = build_model(model_table(name, kind), (1, 8, 8)).module, torch.rand(16, 1, 8, 8)
        with torch.autocast("cpu", torch.bfloat16):
            step = module.training_pass(image, image)
        step.output.float().square().sum().backward()  # type: ignore[no-untyped-call]
        assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in module.parameters())
        if module.bottleneck.quantises:
            assert step.code["latent"].dtype == step.code["continuous"].dtype == torch.float32


@pytest.mark.parametrize("format", ["onnx", "torchscript"])
@pytest.mark.parametrize(("name", "kind"), [*((name, "spatial") for name in TABLES), ("top-k", "vector")])
def test_every_format_computes_the_same_at_any_batch_and_size(
    name: str, kind: str, format: str, tmp_path: Path
) -> None:
    built = built_for(name, kind)
    graph = encoder_graph(built)
    load_named(FORMATS, format, "format").write(graph, tmp_path / "encoder", {})
    for count, size in [(1, (8, 8)), (7, (8, 8)), *([(2, (12, 20))] if kind == "spatial" else [])]:
        image = torch.rand(count, 1, *size, generator=torch.Generator().manual_seed(count))
        found = compared(built, graph, tmp_path / "encoder", format, image)
        assert all(found), found
        assert sum(one.otherwise or 0 for one in found) == 0


@pytest.mark.parametrize("opset", [18, 25])
@pytest.mark.parametrize("name", ["top-k", "vq"])
def test_the_oldest_and_the_newest_opset_do_as_well(name: str, opset: int, tmp_path: Path) -> None:
    built = built_for(name, "spatial")
    graph = encoder_graph(built)
    written = load_named(FORMATS, "onnx", "format").write(graph, tmp_path / "encoder", {"opset": opset})
    assert written.opset == opset
    assert all(compared(built, graph, tmp_path / "encoder", "onnx", torch.rand(2, 1, 8, 8)))


def encoder_graph(built: BuiltModel) -> Graph:
    metadata = {"encoder": {}, "decoder": {}, "autoencoder": {}}
    return next(g for g in split(built, metadata, np.zeros((1, 8, 8, 1), np.uint8)) if g.role == "encoder")


def compared(built: BuiltModel, graph: Graph, path: Path, format: str, image: Tensor) -> tuple[Comparison, ...]:
    """All outputs of an encoder's file, in the engine of its format, against the model's."""
    with torch.inference_mode():
        wanted = {key: value.numpy() for key, value in built.module.encode(image).items()}
    got = run_file(path, format, image.numpy(), [spec.name for spec in graph.outputs])
    return compare_all(got, wanted, masked=built.module.bottleneck.masks)


def run_file(path: Path, format: str, image: np.ndarray, names: list[str]) -> Mapping[str, np.ndarray]:
    """An encoder's file in the engine of its format."""
    if format == "onnx":
        session = onnxruntime.InferenceSession(path)
        return dict(zip(names, session.run(names, {"image": image}), strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.jit.load(io.BytesIO(path.read_bytes()))  # type: ignore[no-untyped-call]
    with torch.inference_mode():
        result = module(torch.from_numpy(image))
    results = result if isinstance(result, tuple) else (result,)
    return {name: tensor.numpy() for name, tensor in zip(names, results, strict=True)}


@pytest.mark.parametrize(
    ("bottleneck", "latent_dim", "kind", "reason"),
    [
        (
            {"name": "top-k", "k": 40},
            32,
            "vector",
            r"'model\.bottleneck\.k' = 40 keeps more entries than the latent has \(model\.latent_dim = 32\): "
            "give a k from 1 to 32",
        ),
        ({"name": "batch-topk", "k": 5}, 4, "spatial", "give a k from 1 to 4"),
        ({"name": "top-k", "k": 0}, 4, "vector", r"'model\.bottleneck\.k' cannot be 0"),
        ({"name": "vq"}, 4, "vector", r"take model\.backbone\.latent = 'spatial'"),
        ({"name": "fsq"}, 4, "vector", r"'fsq' gives an index to each place .* 'spatial'"),
        ({"name": "fsq", "levels": [8, 5, 5]}, 4, "spatial", r"has 3 numbers.* set model\.latent_dim = 3"),
        ({"name": "fsq", "levels": [8, 1]}, 2, "spatial", r"'model\.bottleneck\.levels\.1' cannot be 1"),
        ({"name": "fsq", "levels": [2] * 64}, 64, "spatial", "more codes than an index of 64 bits"),
        ({"name": "gaussian", "scale": "log"}, 4, "vector", r"'model\.bottleneck\.scale' cannot be 'log'"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    bottleneck: dict[str, Any], latent_dim: int, kind: str, reason: str
) -> None:
    table = {**model_table("identity", kind), "latent_dim": latent_dim, "bottleneck": bottleneck}
    with pytest.raises(ConfigError, match=reason):
        resolve_model(table)


def test_as_many_as_there_are_may_be_kept() -> None:
    resolve_model({**model_table("identity", "vector"), "bottleneck": {"name": "top-k", "k": 4}})


# ---- relu and sigmoid


def test_relu_and_sigmoid_by_hand() -> None:
    features = torch.tensor([[-1.0, 0.0, 2.0]])
    assert relu.Bottleneck(relu.BottleneckConfig(), as_is, 3)(features)["latent"].tolist() == [[0.0, 0.0, 2.0]]
    latent = sigmoid.Bottleneck(sigmoid.BottleneckConfig(), as_is, 3)(features)["latent"]
    wanted = [1 / (1 + math.e), 0.5, 1 / (1 + math.exp(-2))]
    assert latent[0].tolist() == pytest.approx(wanted)


# ---- gaussian


def gaussian_bottleneck(scale: str = "logvar") -> gaussian.Bottleneck:
    return gaussian.Bottleneck(gaussian.BottleneckConfig(scale=scale), lambda: nn.Linear(3, 2), 2)  # type: ignore[arg-type]


@pytest.mark.parametrize(("mean", "scale"), [(0.0, 1.0), (2.0, 0.5), (-1.0, 3.0)])
def test_samples_have_the_mean_and_the_scale_asked_for(mean: float, scale: float) -> None:
    torch.manual_seed(0)
    shape = (200_000, 2)
    code = {"latent": torch.full(shape, mean), "logvar": torch.full(shape, 2 * math.log(scale))}
    sample = gaussian_bottleneck().sample(code)
    # Five standard errors of each: 1 / sqrt(200,000) of the scale for the mean, 1 / sqrt(400,000) for the scale.
    assert (sample.mean(0) - mean).abs().max().item() < 5 * scale / math.sqrt(200_000)
    assert (sample.std(0) - scale).abs().max().item() < 5 * scale / math.sqrt(400_000)
    correlation = torch.corrcoef(sample.T)[0, 1].item()
    assert abs(correlation) < 5 / math.sqrt(200_000)


def test_the_code_is_deterministic_and_the_sample_is_not() -> None:
    module, features = gaussian_bottleneck(), torch.rand(4, 3)
    code, again = module(features), module(features)
    assert list(code) == ["latent", "logvar"] == list(module.outputs)
    assert torch.equal(code["latent"], again["latent"])
    assert not torch.equal(module.sample(code), module.sample(code))


@pytest.mark.parametrize("scale", ["logvar", "exp", "softplus"])
def test_gradients_reach_both_heads_through_a_sample(scale: str) -> None:
    module = gaussian_bottleneck(scale)
    module.sample(module(torch.rand(4, 3))).square().sum().backward()  # type: ignore[no-untyped-call]
    for head in (module.mean, module.scale):
        assert head.weight.grad is not None
        assert head.weight.grad.abs().sum() > 0  # type: ignore[operator]


@pytest.mark.parametrize(
    ("scale", "given", "sigma"),
    [
        ("logvar", 2 * math.log(3.0), 3.0),
        ("exp", math.log(3.0), 3.0),
        ("softplus", math.log(math.e**3 - 1), 3.0 + 1e-6),
        ("softplus", -200.0, 1e-6),
        ("softplus", 100.0, 100.0),
    ],
)
def test_logvar_is_the_logarithm_of_the_variance_however_the_scale_is_given(
    scale: str, given: float, sigma: float
) -> None:
    config = gaussian.BottleneckConfig(scale=scale)  # type: ignore[arg-type]
    module = gaussian.Bottleneck(config, as_is, 1)
    code = module(torch.tensor([[given]]))
    assert code["latent"].item() == pytest.approx(given)
    assert code["logvar"].item() == pytest.approx(2 * math.log(sigma), rel=1e-5)


# ---- top-k


def top_k_bottleneck(k: int, activation: str = "none") -> top_k.Bottleneck:
    return top_k.Bottleneck(top_k.BottleneckConfig(k=k, activation=activation), as_is, 4)  # type: ignore[arg-type]


def test_the_k_largest_are_kept_as_they_are() -> None:
    features = torch.tensor([[3.0, -1.0, 2.0, 1.0], [-4.0, -3.0, -2.0, -1.0]])
    assert top_k_bottleneck(2)(features)["latent"].tolist() == [[3.0, 0.0, 2.0, 0.0], [0.0, 0.0, -2.0, -1.0]]
    assert top_k_bottleneck(3, "relu")(features)["latent"].tolist() == [[3.0, 0.0, 2.0, 1.0], [0.0] * 4]
    assert torch.equal(top_k_bottleneck(4)(features)["latent"], features)


def test_of_equals_no_more_than_k_are_kept() -> None:
    assert (top_k_bottleneck(2)(torch.ones(5, 4))["latent"] != 0).sum(1).tolist() == [2] * 5


def test_a_spatial_latent_keeps_k_channels_at_each_place() -> None:
    features = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    latent = top_k_bottleneck(1)(features)["latent"]
    assert torch.equal(latent.sum(1), features.amax(1))
    assert ((latent != 0).sum(1) == 1).all()


def test_only_what_is_kept_gets_a_gradient() -> None:
    features = torch.tensor([[3.0, -1.0, 2.0, 1.0]], requires_grad=True)
    (top_k_bottleneck(2)(features)["latent"] * torch.tensor([5.0, 6.0, 7.0, 8.0])).sum().backward()
    assert features.grad is not None
    assert features.grad.tolist() == [[5.0, 0.0, 7.0, 0.0]]


def test_k_falls_in_a_straight_line_over_the_first_batches_of_training() -> None:
    config = top_k.BottleneckConfig(k=1, anneal_batches=4)
    module = top_k.Bottleneck(config, as_is, 5)
    features = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))

    def kept(code: dict[str, torch.Tensor]) -> int:
        (count,) = set((code["latent"] != 0).sum(1).tolist())
        return int(count)

    found = [kept(module.training_code(features)) for _ in range(3)]
    # Neither what is exported nor what is held out has any part in it.
    assert kept(module(features)) == 1
    with torch.no_grad():
        assert kept(module.training_code(features)) == 1
    module.eval()
    assert kept(module.training_code(features)) == 1
    module.train()
    resumed = top_k.Bottleneck(config, as_is, 5)
    resumed.load_state_dict(module.state_dict())
    found += [kept(resumed.training_code(features)) for _ in range(3)]
    assert found == [5, 4, 3, 2, 1, 1]


# ---- batch-topk


def batch_bottleneck(k: int, momentum: float = 0.25, latent_dim: int = 3) -> batch.Bottleneck:
    return batch.Bottleneck(batch.BottleneckConfig(k=k, momentum=momentum, anneal_batches=0), as_is, latent_dim)


BATCH = torch.tensor([[5.0, 4.0, 3.0], [2.0, 0.5, -1.0]])


def test_a_batch_keeps_its_k_times_b_largest_whoever_has_them() -> None:
    module = batch_bottleneck(k=2)
    assert module.training_code(BATCH)["latent"].tolist() == [[5.0, 4.0, 3.0], [2.0, 0.0, 0.0]]
    assert module.threshold.item() == 2.0


def test_the_threshold_is_a_running_mean_of_the_least_value_kept() -> None:
    module = batch_bottleneck(k=2)
    module.training_code(BATCH)
    module.training_code(BATCH + 4.0)  # keeps 9, 8, 7, 6
    assert module.threshold.item() == pytest.approx(0.75 * 2.0 + 0.25 * 6.0)
    module.training_code(-BATCH - 10.0)  # nothing is positive: nothing to learn
    assert module.threshold.item() == pytest.approx(3.0)
    assert module.state_dict()["threshold"].item() == pytest.approx(3.0)


def test_while_k_falls_the_threshold_is_that_of_the_last_k() -> None:
    config = batch.BottleneckConfig(k=1, anneal_batches=2)
    module = batch.Bottleneck(config, as_is, 3)
    assert (module.training_code(BATCH.abs())["latent"] != 0).all()
    assert module.threshold.item() == 4.0
    assert [int((module.training_code(BATCH.abs())["latent"] != 0).sum()) for _ in range(2)] == [4, 2]


def test_zeros_that_are_kept_for_want_of_others_are_no_threshold() -> None:
    module = batch_bottleneck(k=3)
    module.training_code(BATCH)
    assert module.threshold.item() == 0.5


def test_once_trained_what_is_above_the_threshold_is_kept() -> None:
    module = batch_bottleneck(k=2)
    module.training_code(BATCH)
    module.eval()
    features = torch.tensor([[2.0, 2.5, -3.0], [0.1, 0.2, 0.3]])
    for code in (module(features), module.training_code(features)):
        assert code["latent"].tolist() == [[0.0, 2.5, 0.0], [0.0, 0.0, 0.0]]


def test_of_a_spatial_latent_k_channels_a_place_are_kept_on_average() -> None:
    features = torch.rand(3, 4, 2, 5, generator=torch.Generator().manual_seed(0))
    latent = batch_bottleneck(k=2, latent_dim=4).training_code(features)["latent"]
    assert latent.shape == features.shape
    assert (latent != 0).sum().item() == 2 * 3 * 2 * 5
    assert latent[latent != 0].min() >= features[latent == 0].max()


def test_a_batch_passes_gradients_to_what_it_keeps() -> None:
    features = BATCH.clone().requires_grad_()
    batch_bottleneck(k=2).training_code(features)["latent"].sum().backward()  # type: ignore[no-untyped-call]
    assert features.grad is not None
    assert features.grad.tolist() == [[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]


# ---- vq


def places(*vectors: list[float]) -> Tensor:
    """A spatial latent [1, D, 1, N] with a vector at each place."""
    return torch.tensor(vectors).T.reshape(1, len(vectors[0]), 1, len(vectors))


def vq_bottleneck(codebook: list[list[float]], **config: Any) -> vq.Bottleneck:
    """A quantiser that holds ``codebook`` as if each entry had stood for 10 places."""
    entries = torch.tensor(codebook)
    values = {"revive_below": 0.0, **config}
    module = vq.Bottleneck(vq.BottleneckConfig(codebook_size=len(entries), **values), as_is, entries.shape[1])
    module.codebook.copy_(entries)
    module.cluster_size.fill_(10.0)
    module.cluster_sum.copy_(10.0 * entries)
    module.initialised.fill_(True)
    return module


def test_each_place_becomes_its_nearest_entry() -> None:
    module = vq_bottleneck([[0.0, 0.0], [4.0, 0.0], [0.0, 3.0]])
    code = module(places([1.0, 1.0], [2.5, 0.0], [9.0, 9.0], [0.0, 1.4]))
    assert code["indices"].tolist() == [[[0, 1, 1, 0]]]
    assert code["indices"].dtype == torch.int64
    assert torch.equal(code["latent"], places([0.0, 0.0], [4.0, 0.0], [4.0, 0.0], [0.0, 0.0]))


def test_entries_follow_the_mean_of_what_they_stand_for() -> None:
    """One step of van den Oord's appendix A.1, with γ = 0.9: N ← 0.9·10 + 0.1·n, m ← 0.9·10·e + 0.1·Σz, e = m / N."""
    module = vq_bottleneck([[0.0, 0.0], [4.0, 0.0]], decay=0.9, epsilon=1e-9)
    code = module.training_code(places([1.0, 1.0], [-1.0, 2.0], [6.0, 0.0]))
    assert code["indices"].tolist() == [[[0, 0, 1]]]
    assert torch.equal(code["latent"], places([0.0, 0.0], [0.0, 0.0], [4.0, 0.0]))  # as they were before the step
    torch.testing.assert_close(module.cluster_size, torch.tensor([9.2, 9.1]))
    torch.testing.assert_close(module.cluster_sum, torch.tensor([[0.0, 0.3], [36.6, 0.0]]))
    torch.testing.assert_close(module.codebook, torch.tensor([[0.0, 0.3 / 9.2], [36.6 / 9.1, 0.0]]))


def test_sizes_are_smoothed() -> None:
    module = vq_bottleneck([[1.0], [3.0]], decay=0.5, epsilon=2.0)
    module.training_code(places([1.0], [1.0]))
    # N = 6 and 5, of 11; (6 + 2) / (11 + 4) · 11 and (5 + 2) / 15 · 11; m = 6 and 15.
    torch.testing.assert_close(module.codebook, torch.tensor([[6 / (8 / 15 * 11)], [15 / (7 / 15 * 11)]]))


def test_the_gradient_goes_straight_through() -> None:
    module = vq_bottleneck([[0.0, 0.0], [4.0, 0.0]])
    continuous = places([1.0, 1.0], [3.0, 2.0]).requires_grad_()
    code = module.training_code(continuous)
    sample, weight = module.sample(code), torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])
    assert torch.equal(sample, code["latent"])
    (sample * weight).sum().backward()  # type: ignore[no-untyped-call]
    assert torch.equal(continuous.grad, weight)  # type: ignore[arg-type]
    assert not code["latent"].requires_grad
    assert code["continuous"].requires_grad


def test_the_first_batch_gives_the_codebook() -> None:
    torch.manual_seed(0)
    module = vq.Bottleneck(vq.BottleneckConfig(codebook_size=4, revive_below=0.0), as_is, 2)
    continuous = torch.randn(1, 2, 5, 5)
    module.training_code(continuous)
    assert module.initialised.item()
    rows = continuous.movedim(1, -1).reshape(-1, 2)
    # Four different latents, each then the mean of those to which it was the nearest.
    code = module(continuous)["indices"].flatten()
    assert sorted(code.unique().tolist()) == [0, 1, 2, 3]
    assert module.cluster_size.sum().item() == pytest.approx(0.01 * 25)
    assert module.codebook.isfinite().all()
    assert (module.codebook.amax(0) <= rows.amax(0)).all()
    assert (module.codebook.amin(0) >= rows.amin(0)).all()


def test_a_batch_smaller_than_the_codebook_will_do() -> None:
    torch.manual_seed(0)
    module = vq.Bottleneck(vq.BottleneckConfig(codebook_size=16), as_is, 2)
    module.training_code(torch.randn(1, 2, 1, 3))
    assert module.codebook.isfinite().all()


def test_a_dead_entry_becomes_a_latent_that_is_badly_represented() -> None:
    torch.manual_seed(0)
    module = vq_bottleneck([[0.0], [10.0], [-50.0]], revive_below=0.5)
    module.cluster_size[2] = 1.0
    # All latents but one are where an entry is: the one that is not has all the chances.
    module.training_code(places(*[[0.0]] * 20, *[[10.0]] * 20, [4.0]))
    assert module.codebook[2].item() == 4.0
    assert module.cluster_size[2].item() == pytest.approx((0.99 * 10 + 0.01 * 21 + 0.99 * 10 + 0.01 * 20 + 0.99) / 3)
    torch.testing.assert_close(module.cluster_sum[2], module.cluster_size[2] * module.codebook[2])
    assert module(places([4.1]))["indices"].item() == 2


def test_an_entry_in_use_is_not_replaced() -> None:
    module = vq_bottleneck([[0.0], [10.0]], revive_below=0.5)
    module.training_code(places([3.0], [11.0]))
    torch.testing.assert_close(module.codebook, torch.tensor([[0.0], [10.0]]), atol=0.01, rtol=0.0)


def test_dead_entries_are_replaced_by_different_latents() -> None:
    torch.manual_seed(0)
    module = vq_bottleneck([[0.0], [1e6], [2e6], [3e6]], revive_below=0.5)
    module.cluster_size[1:] = 0.0
    module.training_code(places(*[[float(n)] for n in range(1, 30)]))
    assert len(set(module.codebook[1:].flatten().tolist())) == 3
    assert module.codebook[1:].max() < 30


def test_the_same_seed_gives_the_same_codebook() -> None:
    codebooks = []
    for _ in range(2):
        module = built_for("vq", "spatial").module
        assert isinstance(module.bottleneck, vq.Bottleneck)
        codebooks.append(module.bottleneck.codebook)
    assert torch.equal(*codebooks)


def test_a_loss_that_is_no_number_is_for_the_loop_to_tell() -> None:
    module = vq_bottleneck([[0.0], [10.0]], revive_below=0.5)
    code = module.training_code(places([float("nan")], [1.0]))
    assert module.sample(code).isnan().any()


def test_the_nearest_entry_is_found_in_float32_under_autocast() -> None:
    """In bfloat16, 1000 and 1001 are the same number."""
    module = vq_bottleneck([[1000.0], [1001.0]])
    with torch.autocast("cpu", torch.bfloat16):
        code = module(places([1000.2], [1000.8]))
    assert code["indices"].tolist() == [[[0, 1]]]


# ---- fsq


def fsq_bottleneck(*levels: int) -> fsq.Bottleneck:
    return fsq.Bottleneck(fsq.BottleneckConfig(levels=levels), as_is, len(levels))


@pytest.mark.parametrize(
    ("levels", "values"),
    [(2, [-1, 0]), (3, [-1, 0, 1]), (5, [-1, -0.5, 0, 0.5, 1]), (8, [-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75])],
)
def test_all_levels_and_no_others_are_reached(levels: int, values: list[float]) -> None:
    code = fsq_bottleneck(levels)(torch.linspace(-9, 9, 2001).reshape(1, 1, 1, -1))
    assert sorted(code["latent"].unique().tolist()) == values
    assert sorted(code["indices"].unique().tolist()) == list(range(levels))
    assert (code["indices"].diff() >= 0).all()


def test_zero_is_the_middle_code_of_any_number_of_levels() -> None:
    code = fsq_bottleneck(8, 5)(torch.zeros(1, 2, 1, 1))
    assert code["latent"].flatten().tolist() == [0.0, 0.0]
    assert code["indices"].item() == 4 + 8 * 2


def test_an_index_is_the_levels_as_digits() -> None:
    module = fsq_bottleneck(8, 6, 5)
    assert module.codebook_size == 240
    far = torch.tensor([[-9.0, -9.0, -9.0], [9.0, -9.0, -9.0], [-9.0, 9.0, -9.0], [-9.0, -9.0, 9.0], [9.0, 9.0, 9.0]])
    code = module(far.T.reshape(1, 3, 1, 5))
    assert code["indices"].tolist() == [[[0, 7, 8 * 5, 48 * 4, 239]]]
    assert code["indices"].dtype == torch.int64


def test_continuous_is_what_is_rounded_and_rounding_passes_the_gradient() -> None:
    module = fsq_bottleneck(5)
    features = torch.tensor([0.3, -0.7]).reshape(1, 1, 1, 2).requires_grad_()
    code = module.training_code(features)
    reach = 2.0 * 1.001
    bounded = [math.tanh(0.3) * reach, math.tanh(-0.7) * reach]
    assert code["continuous"].flatten().tolist() == pytest.approx([value / 2 for value in bounded])
    assert code["latent"].flatten().tolist() == [round(value) / 2 for value in bounded] == [0.5, -0.5]
    module.sample(code).sum().backward()  # type: ignore[no-untyped-call]
    wanted = [(1 - math.tanh(0.3) ** 2) * reach / 2, (1 - math.tanh(-0.7) ** 2) * reach / 2]
    assert features.grad is not None
    assert features.grad.flatten().tolist() == pytest.approx(wanted)


def test_an_even_number_of_levels_is_shifted_by_half_a_step() -> None:
    """At 8 levels: tanh(z + artanh(0.5 / 3.5035)) · 3.5035 − 0.5, in steps of a quarter."""
    module = fsq_bottleneck(8)
    for value in (-1.3, 0.2, 0.9):
        bounded = math.tanh(value + math.atanh(0.5 / 3.5035)) * 3.5035 - 0.5
        code = module.training_code(torch.full((1, 1, 1, 1), value))
        assert code["continuous"].item() == pytest.approx(bounded / 4, rel=1e-5)
        assert code["latent"].item() == round(bounded) / 4


def test_the_levels_are_not_weights() -> None:
    assert fsq_bottleneck(8, 5).state_dict() == {}
