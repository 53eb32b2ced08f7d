"""What makes large trainings possible: pieces of a batch, averaged weights, early ends, memory formats, precision."""

from __future__ import annotations

import threading

import pytest
import torch
from safetensors.torch import load_file
from tiny_run import Configure

from aedeploy.errors import ConfigError
from aedeploy.training.average import WeightAverage
from aedeploy.training.events import Ended, EpochDone, Event, StepsDone
from aedeploy.training.run import train

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


def test_bfloat16_trains_and_keeps_float32(configure: Configure) -> None:
    events, weights = run(configure("training.precision=bf16", "training.epochs=5", variant="vae"))
    losses = [epoch.train_loss for epoch in epochs(events)]
    assert losses[-1] < losses[0]
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
