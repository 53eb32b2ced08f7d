"""Every rule has models that trip it, and the nearest ones that must not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import own_networks as nets
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 – as people write it
from torch import Tensor, nn

from aedeploy.errors import LintError
from aedeploy.export.lint import Finding, lint, refuse, rule_names, subject_of
from aedeploy.models.own import OwnModelConfig, can_be_cut, own_model

GREY, COLOUR = (1, 28, 28), (3, 16, 16)


def found(
    model: nn.Module, shape: tuple[int, int, int], formats: tuple[str, ...] = ("onnx",), **table: Any
) -> list[Finding]:
    """What the lint finds in an own model."""
    table.setdefault("outputs", ("latent",) if can_be_cut(model) else ())
    config = OwnModelConfig(module="tests:model", **table)
    samples = np.random.default_rng(0).integers(0, 256, (4, *shape[1:], shape[0]), dtype=np.uint8)
    return list(lint(subject_of(own_model(config, model.eval(), shape), samples, formats)))


class Whole(nn.Module):
    """A model of one function, so that a case is a line."""

    def __init__(self, function: Callable[[Tensor], Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self._function = function

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return self._function(x)


def conv(*then: nn.Module) -> tuple[nn.Module, ...]:
    return (nn.Conv2d(1, 1, 3, padding=1), *then)


def plain(x: Tensor) -> Tensor:
    return torch.sigmoid(x)


def large(value: float) -> nn.Module:
    layer = nn.Conv2d(1, 1, 3, padding=1)
    layer.weight.data[0, 0, 1, 1] = value
    return layer


class Mask(nn.Module):
    """A buffer of −∞, of +∞ or of NaN."""

    mask: Tensor

    def __init__(self, value: float) -> None:
        super().__init__()
        self.register_buffer("mask", torch.tensor([0.0, value]))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.softmax(self.mask, 0)[0]


class Branching(nn.Module):
    """What it does depends on the values."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x) if x.mean() > 0.5 else torch.sigmoid(-x)


class Resized(nn.Module):
    """Sizes that are no multiple of four come back as one that is."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 4, 3, 2, 1), nn.ConvTranspose2d(4, 3, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.up(self.down(x)))


def attention_over_the_batch(x: Tensor) -> Tensor:
    flat = x.flatten(1)
    return (torch.softmax(flat @ flat.T / 784, 1) @ flat).view_as(x).clamp(0, 1)


class Cut(nn.Module):
    """encode and decode of one function each, and a forward of a third."""

    def __init__(self, forward: Callable[[Cut, Tensor], Any]) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(1, 2, 4, 4), nn.ConvTranspose2d(2, 1, 4, 4)
        self._forward_function = forward

    def encode(self, x: Tensor) -> Tensor:
        return self.down(x)

    def decode(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.up(z))

    def forward(self, x: Tensor) -> Any:
        return self._forward_function(self, x)


def sampled(model: Cut, x: Tensor) -> Tensor:
    z = model.encode(x)
    return model.decode(z + torch.randn_like(z))


#: By rule: models that trip it, the severity, and a part of the place; the shape and the options of the model.
Case = tuple[Callable[[], nn.Module], str, str, tuple[int, int, int], dict[str, Any]]
TRIP: dict[str, list[Case]] = {
    "training-mode": [
        (nets.BatchStatistics, "error", "body.1 (BatchNorm2d)", GREY, {}),
        (nets.AlwaysTraining, "error", "body.1 (BatchNorm2d)", GREY, {}),
        (nets.ActiveDropout, "error", "F.dropout(self.encoder(x), 0.5)", GREY, {"outputs": ()}),
        (lambda: Whole(lambda x: plain(F.dropout2d(x, 0.5, training=True)), *conv()), "error", "", GREY, {}),
        (lambda: Whole(lambda x: plain(F.batch_norm(x, None, None, training=True)), *conv()), "error", "", GREY, {}),
    ],
    "random-nodes": [
        (nets.SamplingEncoder, "error", "torch.randn_like(std) * std", GREY, {}),
        (lambda: Whole(lambda x: plain(x + torch.rand(1)), *conv()), "error", "Whole", GREY, {}),
        (lambda: Whole(lambda x: torch.bernoulli(plain(x)), *conv()), "error", "Whole", GREY, {}),
        (lambda: Whole(lambda x: plain(F.rrelu(x, training=True)), *conv()), "error", "Whole", GREY, {}),
    ],
    "batch": [
        (nets.FixedView, "error", "x.view(1, 784)", GREY, {}),
        (lambda: Whole(lambda x: plain(x - x.mean(0, keepdim=True)), *conv()), "error", "Whole", GREY, {}),
        (lambda: Whole(attention_over_the_batch), "error", "Whole", GREY, {}),
        (lambda: Whole(lambda x: plain(x.mean(0, keepdim=True)), *conv()), "error", "Whole", GREY, {}),
    ],
    "size": [(nets.OfOneSize, "error", "middle (Linear)", COLOUR, {"multiple_of": 4, "minimum": 4})],
    "round-trip": [
        (nets.BakedSize, "error", "BakedSize", COLOUR, {"multiple_of": 2, "minimum": 2}),
        (Resized, "error", "Resized", (3, 15, 16), {}),
        (Resized, "error", "Resized", COLOUR, {"multiple_of": 1, "minimum": 5}),
    ],
    "weights": [
        (nets.not_finite, "error", "decoder.2.weight", GREY, {}),
        (lambda: Whole(plain, large(1e6)), "warning", "layers.0.weight", GREY, {}),
        (lambda: Whole(plain, *conv(Mask(float("nan")))), "error", "layers.1.mask", GREY, {}),
        (lambda: Whole(plain, *conv(Mask(float("inf")))), "error", "layers.1.mask", GREY, {}),
    ],
    "output-range": [
        (nets.TupleForward, "warning", "decoder.3 (Sigmoid)", GREY, {"mean": (0.1307,), "std": (0.3081,)}),
        (nets.SpatialLatent, "warning", "up.3 (Tanh)", COLOUR, {}),
        (lambda: Whole(lambda x: x.relu() + 0.1, *conv()), "warning", "", GREY, {}),
        (lambda: Whole(lambda x: 0.5 * torch.sigmoid(x), *conv()), "warning", "", GREY, {}),
        (lambda: Whole(lambda x: 3 * x + 0.7), "warning", "", GREY, {}),
    ],
    "finite": [
        (lambda: Whole(lambda x: plain(x / x.amax((1, 2, 3), keepdim=True))), "error", "Whole", GREY, {}),
        (lambda: Whole(lambda x: plain((x - 0.5).sqrt())), "error", "Whole", GREY, {}),
        (lambda: Whole(lambda x: plain(x.abs().log() * 0)), "error", "Whole", GREY, {}),
    ],
    "state": [
        (nets.LeftBehind, "error", "LeftBehind.decode", GREY, {}),
        (nets.LeftBehindSkip, "error", "LeftBehindSkip.decode", GREY, {}),
    ],
    "operators": [
        (lambda: Whole(lambda x: plain(torch.linalg.matrix_exp(x)), *conv()), "error", "Whole", GREY, {}),
    ],
    "cut": [
        (nets.SkipConnection, "error", "SkipConnection.forward", GREY, {}),
        (nets.SamplingSkipConnection, "error", "SamplingSkipConnection.forward", GREY, {}),
        (nets.LossFirst, "error", "LossFirst.forward", GREY, {}),
        (nets.DictForward, "error", "DictForward.forward", GREY, {}),
        (lambda: Cut(lambda model, x: model.decode(model.encode(x)) * 0.5), "error", "Cut.forward", GREY, {}),
        (lambda: Cut(lambda model, x: F.dropout(model.decode(model.encode(x)))), "warning", "Cut.forward", GREY, {}),
    ],
    "capture": [
        (Branching, "error", "x.mean() > 0.5", GREY, {}),
        (nets.LengthOfBatch, "error", "x.reshape(len(x), 784)", GREY, {}),
        (lambda: Whole(lambda x: plain(x.view(int(x.shape[0]), *x.shape[1:])), *conv()), "error", "Whole", GREY, {}),
    ],
}
#: By rule: the nearest models that are sound.
PASS: dict[str, list[tuple[Callable[[], nn.Module], tuple[int, int, int], dict[str, Any]]]] = {
    "training-mode": [
        (lambda: nets.BatchStatistics(track=True), GREY, {}),
        (lambda: Whole(plain, *conv(nn.Dropout(0.5), nn.InstanceNorm2d(1, affine=True), nn.GroupNorm(1, 1))), GREY, {}),
        (lambda: Whole(lambda x: plain(F.dropout(x, 0.0)), *conv()), GREY, {}),
        (nets.Attention, GREY, {}),
    ],
    "random-nodes": [
        (nets.VAE, GREY, {"outputs": ("latent", "logvar")}),
        (nets.Attention, GREY, {}),
    ],
    "batch": [
        (nets.VAE, GREY, {"outputs": ("latent", "-")}),
        (lambda: Whole(lambda x: plain(x - x.mean((1, 2, 3), keepdim=True)), *conv()), GREY, {}),
        (nets.Attention, GREY, {}),
    ],
    "size": [
        (nets.SpatialLatent, COLOUR, {"multiple_of": 4, "minimum": 4, "mean": (0.5,), "std": (0.5,)}),
        (nets.OfOneSize, COLOUR, {}),
    ],
    "round-trip": [
        (nets.BakedSize, COLOUR, {}),
        (Resized, COLOUR, {"multiple_of": 2, "minimum": 2}),
    ],
    "weights": [
        (lambda: Whole(plain, large(60_000.0)), GREY, {}),
        (lambda: Whole(plain, *conv(Mask(float("-inf")))), GREY, {}),
    ],
    "output-range": [
        (nets.TupleForward, GREY, {"mean": (0.1307,), "std": (0.3081,), "output": "unit"}),
        (nets.SpatialLatent, COLOUR, {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}),
        (lambda: Whole(lambda x: torch.tanh(x) * 0.5 + 0.5, *conv()), GREY, {}),
        (lambda: Whole(lambda x: F.hardtanh(x, 0.0, 1.0), *conv()), GREY, {}),
        (lambda: Whole(lambda x: x), GREY, {}),
    ],
    "finite": [
        (lambda: Whole(lambda x: plain(x / (x.amax((1, 2, 3), keepdim=True) + 1e-5))), GREY, {}),
        (nets.Attention, GREY, {}),
    ],
    "state": [(nets.SkipConnection, GREY, {"outputs": ()}), (nets.VAE, GREY, {"outputs": ("latent", "-")})],
    "operators": [(nets.VAE, GREY, {"outputs": ("latent", "logvar")}), (nets.Attention, GREY, {})],
    "cut": [
        (nets.VAE, GREY, {"outputs": ("latent", "logvar")}),
        (lambda: Cut(lambda model, x: model.decode(model.encode(x))), GREY, {}),
        (lambda: Cut(sampled), GREY, {}),
        # The reconstruction among other things that it returns: behind a loss, in a table, flat.
        (lambda: Cut(lambda model, x: (x.mean(), {"x": x, "out": model.decode(model.encode(x))})), GREY, {}),
        (lambda: Cut(lambda model, x: model.decode(model.encode(x)).flatten(1)), GREY, {}),
        (nets.Tied, GREY, {}),
        (nets.SkipConnection, GREY, {"outputs": ()}),
    ],
    "capture": [(lambda: Whole(lambda x: torch.where(x > 0.5, x, 1 - x)), GREY, {})],
}
_TRIPPED = [
    pytest.param(rule, *case, id=f"{rule}-{at}") for rule, cases in TRIP.items() for at, case in enumerate(cases)
]
_PASSED = [
    pytest.param(rule, *case, id=f"{rule}-{at}") for rule, cases in PASS.items() for at, case in enumerate(cases)
]


@pytest.mark.parametrize("rule", rule_names())
def test_every_rule_has_models_on_both_sides(rule: str) -> None:
    assert TRIP[rule]
    assert PASS[rule]


@pytest.mark.parametrize(("rule", "make", "severity", "where", "shape", "table"), _TRIPPED)
def test_what_a_rule_is_for_trips_it_and_is_named(
    rule: str,
    make: Callable[[], nn.Module],
    severity: str,
    where: str,
    shape: tuple[int, int, int],
    table: dict[str, Any],
) -> None:
    torch.manual_seed(0)
    findings = found(make(), shape, **table)
    mine = [finding for finding in findings if finding.rule == rule]
    assert mine, findings
    assert {finding.severity for finding in mine} == {severity}
    assert any(where in finding.where for finding in mine), mine
    # The first that is said is the cause.
    assert findings[0].rule == rule


@pytest.mark.parametrize(("rule", "make", "shape", "table"), _PASSED)
def test_what_is_near_and_sound_does_not(
    rule: str, make: Callable[[], nn.Module], shape: tuple[int, int, int], table: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    findings = found(make(), shape, **table)
    assert not [finding for finding in findings if finding.rule == rule or finding.severity == "error"], findings


def test_operators_matter_only_to_what_is_made_from_onnx() -> None:
    model = Whole(lambda x: plain(torch.linalg.matrix_exp(x)), *conv())
    assert found(model, GREY, formats=("torchscript",)) == []
    assert [finding.rule for finding in found(model, GREY, formats=("torchscript", "onnx"))] == ["operators"]


def test_a_randomised_relu_is_none_in_eval_mode() -> None:
    assert found(Whole(plain, *conv(nn.RReLU())), GREY, formats=("torchscript",)) == []


def test_code_that_cannot_be_captured_is_only_warned_of_for_torchscript() -> None:
    findings = found(Branching(), GREY, formats=("torchscript",))
    assert [(finding.rule, finding.severity) for finding in findings] == [("capture", "warning")]


def test_the_model_is_left_as_it_was() -> None:
    torch.manual_seed(0)
    model = nets.AlwaysTraining().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found(model, GREY)
    assert not model.body.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_errors_refuse_and_carry_every_finding() -> None:
    findings = tuple(found(nets.ActiveDropout(), GREY, outputs=()))
    with pytest.raises(LintError, match="training-mode") as refused:
        refuse(findings)
    assert refused.value.findings == findings
    refuse([finding for finding in findings if finding.severity == "warning"])
