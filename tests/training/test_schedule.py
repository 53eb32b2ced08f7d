from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

from aedeploy.training.config import TrainingConfig
from aedeploy.training.schedule import learning_rate

STEPS, EPOCHS = 10, 20


def rates(**given: Any) -> list[float]:
    """The rate of every step of a phase."""
    config = TrainingConfig(lr=0.2, epochs=EPOCHS, **given)
    return [learning_rate(config, step, STEPS, EPOCHS) for step in range(STEPS * EPOCHS)]


def test_without_a_schedule_the_rate_is_what_was_given() -> None:
    assert set(rates()) == {0.2}


def test_the_cosine_goes_from_the_rate_to_nothing() -> None:
    found = rates(schedule="cosine")
    assert found == sorted(found, reverse=True)
    assert (found[0], found[100]) == (0.2, pytest.approx(0.1))
    assert found[50] == pytest.approx(0.1 * (1 + math.sqrt(0.5)))
    assert 0 < found[-1] < 1e-4


def test_the_step_lowers_it_every_so_many_epochs() -> None:
    found = rates(schedule="step", step_epochs=5, decay=0.5)
    assert [found[epoch * STEPS] for epoch in (0, 4, 5, 9, 10, 15, 19)] == [0.2, 0.2, 0.1, 0.1, 0.05, 0.025, 0.025]
    assert (found[49], found[50]) == (0.2, 0.1)


@pytest.mark.parametrize("schedule", ["none", "cosine"])
def test_the_warm_up_rises_in_a_straight_line_to_the_full_rate(schedule: str) -> None:
    found = rates(schedule=schedule, warmup_epochs=2.0)
    steps = [after - before for before, after in itertools.pairwise(found[:21])]
    assert steps == pytest.approx([steps[0]] * 20)
    assert 0 < found[0] < 0.01 < found[19] < 0.2
    assert found[20] == 0.2
    assert max(found) == 0.2


def test_the_plateau_lowers_it_as_often_as_it_is_told() -> None:
    config = TrainingConfig(lr=0.2, schedule="plateau", decay=0.1)
    assert [learning_rate(config, 33, STEPS, EPOCHS, reduced) for reduced in range(3)] == pytest.approx(
        [0.2, 0.02, 0.002]
    )
