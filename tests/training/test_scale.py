"""What makes large trainings possible: pieces of a batch, averaged weights, early ends, memory formats, precision."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_run import Configure, tiny_recipe

from aedeploy.errors import ConfigError
from aedeploy.models.build import build_model
from aedeploy.training.average import WeightAverage
from aedeploy.training.events import Ended, EpochDone, Event, StepsDone
from aedeploy.training.loop import Fit
from aedeploy.training.run import train
from aedeploy.training.validity import check_recipe

# One epoch has 4 steps: 27 images in batches of 8.
STEPS = 4


def run(config: object) -> tuple[list[Event], dict[str, torch.Tensor]]:
    events = list(train(config))  # type: ignore[arg-type]
    assert isinstance(events[-1], Ended)
    return events, load_file(events[-1].bundle.path / "weights.safetensors")


def epochs(events: list[Event]) -> list[EpochDone]:
    return [event for event in events if isinstance(event, EpochDone)]


@pytest.mark.parametrize("variant", ["mlp-32", "denoising"])
@pytest.mark.parametrize("reduction", ["mean", "image_sum", "sum"])
def test_a_batch_in_pieces_is_the_same_batch(configure: Configure, variant: str, reduction: str) -> None:
    base = [f"objective.reduction={reduction}", "training.optimizer=sgd", "training.lr=0.001", "training.epochs=1"]
    base += ["corruption.gaussian.sigma=0.0"] if variant == "denoising" else []
    found = {}
    for pieces in (1, 2, 3):
        config = configure(*base, f"training.accumulate={pieces}", variant=variant, overwrite=pieces > 1)
        found[pieces] = run(config)
    for pieces in (2, 3):
        assert epochs(found[pieces][0])[0].train_loss == pytest.approx(epochs(found[1][0])[0].train_loss, rel=1e-4)
        for name, value in found[1][1].items():
            torch.testing.assert_close(found[pieces][1][name], value, rtol=1e-4, atol=1e-5)


def test_a_piece_has_two_images_where_their_statistics_are_taken(configure: Configure) -> None:
    """Batches of 8 and one of 3: as many pieces as leave two images in each."""
    batch_norm = ["model.backbone.batch_norm=true", "training.epochs=1"]
    _, cut = run(configure(*batch_norm, "training.accumulate=8"))
    _, whole = run(configure(*batch_norm, overwrite=True))
    counted = [name for name in cut if name.endswith("num_batches_tracked")]
    assert [cut[name].item() for name in counted] == [3 * 4 + 1] * len(counted) != []
    assert [whole[name].item() for name in counted] == [3 + 1] * len(counted)


def test_the_average_follows_the_weights_by_its_decay() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
    average = WeightAverage(model, decay=0.15)
    for step, (weight, wanted) in enumerate([(1.0, 0.9), (2.0, 0.15 * 0.9 + 0.85 * 2.0)]):
        with torch.no_grad():
            model.weight.fill_(weight)
        average.update(step)
        # The decay of the first step is 1 / 10; 2 / 11 is above 0.15 in the second.
        assert average.state["weight"].item() == pytest.approx(wanted)
    with average.in_place():
        assert model.weight.item() == pytest.approx(wanted)
    assert model.weight.item() == 2.0


def test_averaged_weights_are_what_is_measured_and_kept(configure: Configure) -> None:
    plain, last = run(configure())
    averaged, kept = run(configure("training.ema=0.9", overwrite=True))
    assert epochs(averaged)[0].train_loss == epochs(plain)[0].train_loss
    assert epochs(averaged)[0].held_out_loss != epochs(plain)[0].held_out_loss
    assert any(not torch.equal(kept[name], value) for name, value in last.items())
    assert averaged[-1].metrics["loss"] == pytest.approx(min(e.held_out_loss for e in epochs(averaged)))  # type: ignore[union-attr]


def test_a_run_with_all_of_it_goes_on_exactly_where_it_stopped(configure: Configure) -> None:
    given = ["training.ema=0.9", "training.accumulate=2", "training.schedule=plateau", "training.plateau_epochs=1"]
    _, whole = run(configure(*given))
    stop, seen = threading.Event(), 0
    for event in train(configure(*given, overwrite=True), stop):
        seen += isinstance(event, StepsDone)
        if seen == STEPS + 2:
            stop.set()
    _, resumed = run(configure(*given, resume=True))
    for name, value in whole.items():
        assert torch.equal(resumed[name], value), name


def test_without_progress_a_run_ends(configure: Configure) -> None:
    # With this rate nothing changes in float32, so that no epoch is better than the first.
    given = ["training.lr=1e-20", "training.epochs=20", "training.patience=3"]
    events, _ = run(configure(*given))
    ended = events[-1]
    assert isinstance(ended, Ended)
    assert (ended.completed, ended.epochs, ended.metrics["best_epoch"]) == (True, 4, 1)
    again, _ = run(configure(*given, resume=True))
    assert epochs(again) == []


def test_only_the_last_phase_ends_for_want_of_progress(configure: Configure) -> None:
    given = ["training.lr=1e-20", "training.epochs=9", "training.patience=2", "training.method.layer_epochs=4"]
    events, _ = run(configure(*given, variant="stacked"))
    assert [epoch.phase for epoch in epochs(events)] == ["layer 1 of 2"] * 4 + ["layer 2 of 2"] * 4 + [
        "fine-tuning"
    ] * 3


def test_a_phase_begins_with_the_best_of_the_one_before_and_a_new_average(configure: Configure, tmp_path: Path) -> None:
    """With a rate that is too large for the second epoch of a layer."""
    given = ["training.ema=0.9", "training.lr=0.5", "training.epochs=1", "training.method.layer_epochs=2"]
    found = {}
    for event in train(configure(*given, variant="stacked")):
        if isinstance(event, EpochDone) and event.epoch <= 2:
            assert event.best == (event.epoch == 1), "the case that this test is about"
            with safe_open(tmp_path / "run" / "checkpoint.safetensors", framework="pt") as stored:
                progress = json.loads(stored.metadata()["aedeploy"])["progress"]
                found[event.epoch] = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    best = {name.removeprefix("best/"): value for name, value in found[1].items() if name.startswith("best/")}
    for name, value in best.items():
        assert torch.equal(found[2][f"model/{name}"], value)
        assert torch.equal(found[2][f"average/{name}"], value)
    assert not [name for name in found[2] if name.startswith("best/")]
    # Nor is the new phase measured by what came before it.
    of_phase = {name: progress[name] for name in ("first_loss", "best_loss", "best_epoch", "reduced", "reduced_at")}
    assert of_phase == {"first_loss": None, "best_loss": None, "best_epoch": None, "reduced": 0, "reduced_at": 2}


def test_the_plateau_waits_while_the_loss_falls(configure: Configure) -> None:
    events, _ = run(configure("training.schedule=plateau", "training.plateau_epochs=1"))
    assert all(epoch.best for epoch in epochs(events)), "the case that this test is about"
    assert [epoch.lr for epoch in epochs(events)] == [0.01] * 3


def test_the_plateau_lowers_the_rate_once_it_is_reached(configure: Configure) -> None:
    given = ["training.lr=1e-20", "training.epochs=6", "training.schedule=plateau", "training.plateau_epochs=2"]
    events, _ = run(configure(*given))
    assert [epoch.lr for epoch in epochs(events)] == pytest.approx([1e-20] * 3 + [1e-21] * 2 + [1e-22])


@pytest.mark.parametrize("variant", ["denoising", "deep-conv"])
def test_channels_last_is_another_layout_of_the_same(configure: Configure, variant: str) -> None:
    small = ["training.optimizer=sgd", "training.lr=0.001", "training.epochs=1"]
    _, usual = run(configure(*small, variant=variant))
    _, last = run(configure(*small, "training.channels_last=true", variant=variant, overwrite=True))
    for name, value in usual.items():
        torch.testing.assert_close(last[name], value, rtol=1e-3, atol=1e-4)


def test_channels_last_is_how_convolutions_lie_in_memory() -> None:
    for given in (True, False):
        recipe = check_recipe(tiny_recipe("denoising", f"training.channels_last={str(given).lower()}"))
        model = build_model(recipe.recipe.model, (1, 8, 8)).module
        fit = Fit(model, recipe, pixels=64, seed=0, device=torch.device("cpu"))
        weights = [value for value in fit.model.parameters() if value.dim() == 4 and min(value.shape) > 1]
        assert {value.is_contiguous(memory_format=torch.channels_last) for value in weights} == {given}


def test_bfloat16_trains_and_keeps_float32(configure: Configure) -> None:
    events, weights = run(configure("training.precision=bf16", "training.epochs=5", variant="vae"))
    losses = [epoch.train_loss for epoch in epochs(events)]
    assert losses[-1] < losses[0]
    exact, _ = run(configure("training.epochs=5", variant="vae", overwrite=True))
    assert losses != [epoch.train_loss for epoch in epochs(exact)]
    assert losses == pytest.approx([epoch.train_loss for epoch in epochs(exact)], rel=0.02)
    assert {value.dtype for value in weights.values()} == {torch.float32}


def test_a_clipped_gradient_moves_no_further_than_its_norm(configure: Configure) -> None:
    given = ["training.optimizer=sgd", "training.lr=1.0", "training.epochs=1", "training.batch_size=27"]
    _, still = run(configure(*given, "training.grad_clip=1e-12"))
    _, moved = run(configure(*given, overwrite=True))
    _, clipped = run(configure(*given, "training.grad_clip=1e-3", overwrite=True))

    def distance(weights: dict[str, torch.Tensor]) -> float:
        return sum((weights[name] - value).square().sum().item() for name, value in still.items()) ** 0.5

    assert distance(moved) > 2e-3
    assert distance(clipped) == pytest.approx(1e-3, rel=0.01)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["training.warmup_epochs=3"], r"warmup_epochs = 3 leaves none of the 3 epochs"),
        (["training.accumulate=9"], "accumulate = 9 cuts a batch of 8 into more pieces than"),
        (["training.ema=1.0"], r"'training\.ema' cannot be 1.0"),
        (["training.schedule=cosin"], "input should be 'none', 'cosine', 'step' or 'plateau'"),
        (["training.pacience=3"], r"did you mean 'patience'\?"),
    ],
)
def test_nonsense_is_refused_by_name(configure: Configure, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        list(train(configure(*overrides)))
