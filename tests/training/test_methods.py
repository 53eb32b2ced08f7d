"""How a batch changes a model: every method, and that each does what it says."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from safetensors import safe_open
from tiny_run import Configure
from torch import distributions
from torch.nn import functional

from aedeploy.errors import ConfigError, UnknownNameError
from aedeploy.models.autoencoder import Autoencoder, TrainingPass
from aedeploy.models.build import build_model
from aedeploy.names import names_in
from aedeploy.recipes import load_recipe
from aedeploy.training.events import Ended, EpochDone, Started
from aedeploy.training.methods import METHODS, MODEL, Batch, Method, Setting
from aedeploy.training.methods.importance_weighted import log_weights
from aedeploy.training.run import train
from aedeploy.training.validity import check_recipe

RECIPES = {"joint": "vae", "importance-weighted": "iwae", "adversarial": "aae", "greedy": "stacked"}
SMALL = ["model.latent_dim=3", "model.backbone.hidden=[8]"]


def made(variant: str, *overrides: str) -> tuple[Autoencoder, Method]:
    """A small model of a recipe for 6×6 images, and the recipe's method for it."""
    recipe = check_recipe(load_recipe(variant, [*SMALL, *overrides]))
    torch.manual_seed(0)
    model = build_model(recipe.recipe.model, (1, 6, 6)).module
    setting = Setting(
        model=model,
        forward=model.training_pass,
        objective=recipe.objective,
        epochs=recipe.training.epochs,
        latent_dim=3,
    )
    return model, recipe.method.Method(recipe.method_config, setting)


def batch(phase: int = 0, size: int = 5) -> Batch:
    clean = torch.rand(size, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    return Batch(corrupted=clean, clean=clean, phase=phase, epoch=0.5)


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_every_method_has_a_recipe_here() -> None:
    assert sorted(RECIPES) == names_in(METHODS)


@pytest.mark.parametrize("name", names_in(METHODS))
def test_its_losses_are_its_players_and_its_sums_have_names(name: str) -> None:
    model, method = made(RECIPES[name])
    for phase in range(len(method.phases)):
        model.zero_grad()
        losses = []
        for loss in method.losses(batch(phase)):
            loss.value.backward()
            losses.append(loss)
        assert {loss.player for loss in losses} <= set(method.players)
        sums = torch.cat([loss.sums for loss in losses])
        assert len(sums) == len(method.names(phase))
        assert not sums.requires_grad
        _, parts = method.figures(phase, sums.tolist(), 5, 36)
        assert all(math.isfinite(value) for value in parts.values())
        trained = {id(p) for loss in losses for p in method.players[loss.player].values()}
        assert {id(p) for p in model.parameters() if p.grad is not None} <= trained


def test_joint_is_the_objective() -> None:
    model, method = made("mlp-32")
    (loss,) = method.losses(batch())
    expected, _ = method.objective(model.training_pass(batch().corrupted, batch().clean))
    assert loss.value.item() == expected.item()
    assert loss.player == MODEL


# --- importance-weighted ---


def test_log_weights_are_those_of_the_three_densities() -> None:
    torch.manual_seed(0)
    mean, logvar, raw, target = torch.randn(2, 3), torch.randn(2, 3), torch.randn(2, 1, 2, 2), torch.rand(2, 1, 2, 2)
    latent = mean + torch.randn(2, 3)
    taken = TrainingPass(
        model=None,  # type: ignore[arg-type]  # not looked at
        input=target[:1],
        code={"latent": mean, "logvar": logvar},
        latent=latent,
        raw=raw,
        target=target,
        activate=torch.sigmoid,
        samples=2,
    )
    posterior = distributions.Normal(mean, torch.exp(0.5 * logvar)).log_prob(latent).sum(1)
    prior = distributions.Normal(0.0, 1.0).log_prob(latent).sum(1)
    likelihood = -functional.binary_cross_entropy_with_logits(raw, target, reduction="none").flatten(1).sum(1)
    torch.testing.assert_close(log_weights(taken), (likelihood + prior - posterior).view(1, 2))


def test_the_bound_of_one_sample_is_the_elbo_and_more_samples_tighten_it() -> None:
    bounds = {}
    for samples in (1, 5, 50):
        _, method = made("iwae", f"training.method.samples={samples}")
        found = []
        for seed in range(200):
            torch.manual_seed(seed)
            with torch.no_grad():
                (loss,) = method.losses(batch())
            found.append((loss.sums[0].item(), loss.sums[1:].sum().item()))
        bounds[samples] = [sum(values) / len(found) for values in zip(*found, strict=True)]
    # With one sample, its KL is an estimate of the exact one that the objective's terms hold.
    assert bounds[1][0] == pytest.approx(bounds[1][1], rel=2e-3)
    assert bounds[1][0] > bounds[5][0] > bounds[50][0]


@pytest.mark.parametrize(("reduction", "unit"), [("sum", 1), ("image_sum", 5), ("mean", 5 * 36)])
def test_a_bound_is_shared_out_as_a_term_would_be_and_its_parts_are_of_one_sample(reduction: str, unit: int) -> None:
    found = {}
    for samples in (1, 4):
        _, method = made("iwae", f"objective.reduction={reduction}", f"training.method.samples={samples}")
        (loss,) = method.losses(batch())
        assert loss.value.item() == pytest.approx(loss.sums[0].item() / unit, rel=1e-5)
        found[samples] = loss.sums.tolist()
        bound, parts = method.figures(0, found[samples], 5, 36)
        by = 5 * 36 if reduction == "mean" else 5
        assert bound == pytest.approx(found[samples][0] / by)
        assert parts["kl"] == pytest.approx(found[samples][2] / by)
    # The divergence has no noise in it, and the reconstruction little.
    assert found[4][2] == pytest.approx(found[1][2], rel=1e-5)
    assert found[4][1] == pytest.approx(found[1][1], rel=0.1)


def test_samples_of_an_image_lie_in_a_row() -> None:
    model, _ = made("iwae")
    images = batch(size=2).clean
    taken = model.training_pass(images, images, 3)
    assert taken.latent.shape == (6, 3)
    assert torch.equal(taken.code["latent"][0], taken.code["latent"][2])
    assert not torch.equal(taken.latent[0], taken.latent[1])
    assert torch.equal(taken.target[:3], images[:1].expand(3, -1, -1, -1))


# --- adversarial ---


def test_each_player_gets_gradients_of_its_own_loss_alone() -> None:
    model, method = made("aae")
    discriminator = method.extra["discriminator"]
    losses = method.losses(batch())
    first = next(losses)
    first.value.backward()
    assert first.player == MODEL
    assert gradients(discriminator) == {}
    of_model = gradients(model)
    assert len(of_model) == len(list(model.parameters()))
    second = next(losses)
    second.value.backward()
    assert second.player == "discriminator"
    assert len(gradients(discriminator)) == len(list(discriminator.parameters()))
    for name, value in gradients(model).items():
        assert torch.equal(value, of_model[name])
    assert next(losses, None) is None


def test_adversarial_losses_by_hand() -> None:
    model, method = made("aae", "training.method.weight=2.0")
    last = method.extra["discriminator"][-1]  # type: ignore[index]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(math.log(3.0))  # it takes everything for real, with a probability of ¾
    of_model, of_discriminator = method.losses(batch())
    reconstruction, _ = method.objective(model.training_pass(batch().corrupted, batch().clean))
    fooled = -math.log(0.75)
    assert of_model.value.item() == pytest.approx(reconstruction.item() + 2.0 * fooled, rel=1e-5)
    assert of_model.sums[-1].item() == pytest.approx(5 * fooled, rel=1e-5)
    assert of_discriminator.value.item() == pytest.approx(-math.log(0.75) - math.log(0.25), rel=1e-5)


@pytest.mark.parametrize(("reduction", "unit"), [("sum", 1), ("image_sum", 5), ("mean", 5 * 36)])
def test_fooling_is_shared_out_as_a_term_would_be(reduction: str, unit: int) -> None:
    model, method = made("aae", f"objective.reduction={reduction}", "training.method.weight=2.0")
    of_model, of_discriminator = method.losses(batch())
    reconstruction, _ = method.objective(model.training_pass(batch().corrupted, batch().clean))
    *_, fooled, told = torch.cat([of_model.sums, of_discriminator.sums]).tolist()
    assert of_model.value.item() == pytest.approx(reconstruction.item() + 2.0 * fooled / unit, rel=1e-5)
    assert of_discriminator.value.item() == pytest.approx(told / (1 if reduction == "sum" else 5), rel=1e-5)
    _, parts = method.figures(0, [1.0, fooled, told], 5, 36)
    assert (parts["adversarial"], parts["discriminator"]) == pytest.approx((fooled / 5, told / 5))


def test_the_second_optimiser_is_resumed_and_stays_out_of_the_bundle(configure: Configure, tmp_path: Any) -> None:
    list(train(configure(variant="aae")))
    with safe_open(tmp_path / "run" / "checkpoint.safetensors", framework="pt") as stored:
        names = set(stored.keys())
    assert any(name.startswith("optimizer/discriminator/") for name in names)
    assert any(name.startswith("method/discriminator.") for name in names)
    with safe_open(tmp_path / "run" / "weights.safetensors", framework="pt") as stored:
        assert not [name for name in stored.keys() if "discriminator" in name]  # noqa: SIM118  # not a dict


# --- greedy ---


def test_a_phase_trains_its_own_pair_of_layers_alone() -> None:
    model, method = made("stacked", "model.backbone.hidden=[8, 6]")
    assert [phase.name for phase in method.phases] == ["layer 1 of 3", "layer 2 of 3", "layer 3 of 3", "fine-tuning"]
    assert [phase.epochs for phase in method.phases] == [5, 5, 5, 10]
    wanted = [
        {"trunk.1", "decoder.4"},
        {"trunk.3", "decoder.2"},
        {"bottleneck.head", "decoder.0"},
        {"trunk.1", "trunk.3", "bottleneck.head", "decoder.0", "decoder.2", "decoder.4"},
    ]
    for phase, layers in enumerate(wanted):
        model.zero_grad()
        for loss in method.losses(batch(phase)):
            loss.value.backward()
        touched = {name.rpartition(".")[0] for name in gradients(model)}
        assert touched == layers


def test_a_layers_loss_by_hand() -> None:
    model, method = made("stacked")
    images = batch().clean
    encode, head = model.trunk, model.bottleneck.head
    assert isinstance(head, torch.nn.Module)
    hidden = encode(images)
    first = torch.sigmoid(model.decoder[2](hidden)).view_as(images)  # type: ignore[index]
    assert next(method.losses(batch(0))).value.item() == pytest.approx(
        (first - images).square().mean().item(), rel=1e-5
    )
    second = torch.relu(model.decoder[0](torch.relu(head(hidden))))  # type: ignore[index]
    expected = (second - hidden).square().mean().item()
    assert next(method.losses(batch(1))).value.item() == pytest.approx(expected, rel=1e-5)


def test_the_codes_that_a_layer_learns_from_are_those_of_use_without_dropout() -> None:
    model, method = made("stacked", "model.backbone.dropout=0.5")
    seen: list[torch.Tensor] = []
    model.bottleneck.head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))  # type: ignore[union-attr]
    next(method.losses(batch(1)))
    assert model.trunk.training
    assert torch.equal(seen[0], model.eval().trunk(batch().clean))


def test_fine_tuning_is_by_a_mean_whatever_the_reduction() -> None:
    """A batch in pieces is weighed for all phases alike."""
    model, method = made("stacked", "objective.reduction=sum")
    (loss,) = method.losses(batch(2))
    expected, _ = method.objective(model.training_pass(batch().corrupted, batch().clean))
    assert loss.value.item() == pytest.approx(expected.item() / 5, rel=1e-5)
    assert not method.summed


def test_layer_by_layer_each_loss_falls_and_the_whole_falls_at_last(configure: Configure) -> None:
    overrides = ["training.method.layer_epochs=6", "training.epochs=6", "training.lr=0.01"]
    started, *events = train(configure(*overrides, variant="stacked"))
    assert isinstance(started, Started)
    assert started.phases == ("layer 1 of 2", "layer 2 of 2", "fine-tuning")
    assert started.epochs == 18
    for phase in started.phases:
        losses = [event.held_out_loss for event in events if isinstance(event, EpochDone) and event.phase == phase]
        assert len(losses) == 6
        assert losses[-1] < losses[0], phase
    ended = events[-1]
    assert isinstance(ended, Ended)
    assert ended.completed
    assert (ended.metrics["best_epoch"] or 0) > 12  # the best of the fine-tuning, not of a layer


# --- what is refused ---


@pytest.mark.parametrize(
    ("variant", "overrides", "message"),
    [
        ("mlp-32", ["training.method.name=importance-weighted"], "needs a bottleneck that gives a distribution"),
        ("vae-2d", ["training.method.name=importance-weighted"], "bounds a likelihood"),
        ("vae", ["training.method.name=importance-weighted", "objective.kl.weight=2"], "both of weight 1"),
        ("iwae", ["objective.kl.free_bits=0.1"], "without warm-up or free bits"),
        ("denoising", ["training.method.name=adversarial"], "here are spatial"),
        ("mlp-64", ["training.method.name=adversarial"], "here are bounded"),
        ("ae", ["training.method.name=greedy"], "needs model.backbone.name = 'mlp'"),
        ("vae", ["training.method.name=greedy"], "a model.bottleneck.name of 'identity'"),
        ("stochastic", ["training.method.name=greedy"], "without decoder_hidden"),
        ("iwae", ["training.method.sample=3"], r"did you mean 'samples'\?"),
        ("iwae", ["training.method.samples=0"], r"'training\.method\.samples' cannot be 0"),
    ],
)
def test_nonsense_is_refused_by_name(variant: str, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_recipe(load_recipe(variant, overrides))


def test_an_unknown_method_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean 'greedy'\?"):
        check_recipe(load_recipe("stacked", ["training.method.name=gredy"]))
