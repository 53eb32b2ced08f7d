from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import pytest
from tiny_run import Configure

from aedeploy.errors import MissingDependencyError
from aedeploy.training.events import Ended, EpochDone, StepsDone
from aedeploy.training.run import train


def test_what_a_run_says_is_in_the_event_files(configure: Configure, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own imports
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = list(train(configure("objective.kl.weight=0.5", variant="vae", tensorboard=tmp_path / "board")))
        found = EventAccumulator(str(tmp_path / "board"))
        found.Reload()
    epochs = [event for event in events if isinstance(event, EpochDone)]
    losses = found.Scalars("held_out/loss")
    assert [scalar.step for scalar in losses] == [1, 2, 3]
    assert [scalar.value for scalar in losses] == pytest.approx([epoch.held_out_loss for epoch in epochs])
    kl = [scalar.value for scalar in found.Scalars("train/kl")]
    assert kl == pytest.approx([epoch.train_parts["kl"] for epoch in epochs])
    steps = [scalar.step for scalar in found.Scalars("steps/loss")]
    assert steps == list(range(1, 1 + sum(isinstance(event, StepsDone) for event in events)))
    assert isinstance(events[-1], Ended)
    assert found.Scalars("test/mse")[0].value == pytest.approx(events[-1].metrics["mse"])
    # Event files are named after the host: they are never part of a bundle.
    assert not list((tmp_path / "run").rglob("*tfevents*"))


def test_without_the_package_it_says_how_to_install_it(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tensorboard" else real(name))
    with pytest.raises(MissingDependencyError, match=r"pip install 'aedeploy\[tensorboard\]'"):
        list(train(configure(tensorboard=tmp_path / "board")))
    assert not (tmp_path / "run").exists()
