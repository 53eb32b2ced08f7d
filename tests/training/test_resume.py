"""An interrupted and resumed run ends with exactly the weights of one that was left alone."""

from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_run import Configure

from aedeploy.bundle import GraphRecord, open_bundle
from aedeploy.bundle.store import record_file
from aedeploy.errors import BusyError, ConfigError, IntegrityError
from aedeploy.models.contract import graph_specs
from aedeploy.models.load import load_model
from aedeploy.training.config import TrainConfig
from aedeploy.training.data.source import DataRequest
from aedeploy.training.events import Ended, EpochDone, Started, StepsDone
from aedeploy.training.run import train

#: Everything that draws at random or remembers: noise on the input, a sampled latent, dropout, batch statistics.
RESTLESS = [
    "corruption.gaussian.sigma=[0.0,0.3]",
    "model.backbone.dropout=0.2",
    "model.backbone.batch_norm=true",
    "training.grad_clip=1.0",
]


def run(config: TrainConfig, stop_after: int | None = None) -> Ended:
    """A run, ended after so many steps if any."""
    stop, steps = threading.Event(), 0
    for event in train(config, stop):
        steps += isinstance(event, StepsDone)
        if steps == stop_after:
            stop.set()
    assert isinstance(event, Ended)
    return event


def files(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], list[dict]]:
    """Best weights; last weights, optimiser and the rest of the checkpoint; history without its timings."""
    history = [json.loads(line) for line in (path / "history.jsonl").read_text().splitlines()]
    for line in history:
        del line["seconds"], line["images_per_second"]
    return load_file(path / "weights.safetensors"), load_file(path / "checkpoint.safetensors"), history


def assert_equal(left: Path, right: Path) -> None:
    for one, other in zip(files(left)[:2], files(right)[:2], strict=True):
        assert one.keys() == other.keys()
        assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert files(left)[2] == files(right)[2]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["none", "cosine"])
def test_stopped_twice_and_resumed_is_as_if_never_stopped(
    configure: Configure, tmp_path: Path, optimizer: str, schedule: str
) -> None:
    overrides = [
        *RESTLESS,
        f"training.optimizer={optimizer}",
        f"training.schedule={schedule}",
        "training.weight_decay=0.01",
    ]
    whole = configure(*overrides, variant="vae", out=tmp_path / "whole")
    run(whole)
    pieces = dataclasses.replace(whole, out=tmp_path / "pieces")
    assert not run(pieces, stop_after=6).completed  # within the second epoch of four steps
    pieces = dataclasses.replace(pieces, resume=True)
    assert not run(pieces, stop_after=2).completed  # at its very end, before its held-out images
    assert run(pieces).completed
    assert_equal(tmp_path / "whole", tmp_path / "pieces")


@pytest.mark.parametrize("stop_after", range(1, 9))
def test_at_whatever_step_it_is_stopped(configure: Configure, tmp_path: Path, stop_after: int) -> None:
    whole = configure("training.epochs=2", variant="denoising", out=tmp_path / "whole")
    run(whole)
    pieces = dataclasses.replace(whole, out=tmp_path / "pieces")
    run(pieces, stop_after=stop_after)
    run(dataclasses.replace(pieces, resume=True))
    assert_equal(tmp_path / "whole", tmp_path / "pieces")


def test_a_streamed_run_is_resumed_in_its_order(configure: Configure, tiny_data: Path, tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    for at, image in enumerate(np.load(tiny_data)["images"]):
        Image.fromarray(image).save(folder / f"{at:02}.png")
    data = DataRequest(data=str(folder), memory_limit=0, workers=2)
    whole = configure(data=data, out=tmp_path / "whole")
    run(whole)
    pieces = dataclasses.replace(whole, out=tmp_path / "pieces")
    run(pieces, stop_after=6)
    run(dataclasses.replace(pieces, resume=True))
    assert_equal(tmp_path / "whole", tmp_path / "pieces")


def test_what_is_interrupted_is_a_bundle_of_the_best_epoch_so_far(configure: Configure, tmp_path: Path) -> None:
    one = run(configure("training.epochs=1", out=tmp_path / "one"))
    stopped = run(configure(out=tmp_path / "three"), stop_after=6)
    assert stopped.epochs == 1
    assert stopped.bundle.manifest.weights.sha256 == one.bundle.manifest.weights.sha256
    load_model(open_bundle(stopped.bundle.path))


def test_more_epochs_go_on_as_if_asked_for_at_once(configure: Configure, tmp_path: Path) -> None:
    run(configure("training.epochs=5", out=tmp_path / "five"))
    run(configure("training.epochs=2", out=tmp_path / "grown"))
    events = list(train(configure("training.epochs=5", out=tmp_path / "grown", resume=True)))
    assert isinstance(events[0], Started)
    assert events[0].epochs_done == 2
    assert [event.epoch for event in events if isinstance(event, EpochDone)] == [3, 4, 5]
    assert_equal(tmp_path / "five", tmp_path / "grown")


def test_a_process_that_died_without_a_word_is_resumed_from_its_last_checkpoint(
    configure: Configure, tmp_path: Path
) -> None:
    """Dropping the generator is what a kill leaves: the checkpoint of the last epoch, and steps that it forgets."""
    whole = configure(out=tmp_path / "whole")
    run(whole)
    killed = dataclasses.replace(whole, out=tmp_path / "killed")
    events = train(killed)
    epochs = 0
    while epochs < 2:
        epochs += isinstance(next(events), EpochDone)
    next(events)
    events.close()
    assert not (tmp_path / "killed" / "bundle.json").exists()
    with open(tmp_path / "killed" / "history.jsonl", "a") as history:
        history.write('{"epoch": 3, "train_lo')  # cut off
    run(dataclasses.replace(killed, resume=True))
    assert_equal(tmp_path / "whole", tmp_path / "killed")


def test_long_epochs_are_saved_on_their_way(configure: Configure, tmp_path: Path) -> None:
    events = train(configure(checkpoint_seconds=0.0))
    next(events)
    next(events)  # the first step
    assert (tmp_path / "run" / "checkpoint.safetensors").is_file()
    events.close()


def test_a_finished_run_is_published_again(configure: Configure, tmp_path: Path) -> None:
    """As after a kill between the last checkpoint and the manifest."""
    first = run(configure())
    (tmp_path / "run" / "bundle.json").unlink()
    again = run(configure(resume=True))
    assert again.completed
    assert again.bundle.manifest.weights == first.bundle.manifest.weights
    assert again.train_loss == first.train_loss


def test_exports_of_the_same_weights_stay(configure: Configure) -> None:
    bundle = run(configure()).bundle
    (bundle.path / "encoder.onnx").write_bytes(b"a graph")
    inputs, outputs = graph_specs(load_model(bundle), "encoder")
    graph = GraphRecord(
        role="encoder",
        format="onnx",
        file=record_file(bundle.path, "encoder.onnx"),
        inputs=inputs,
        outputs=outputs,
        parity="passed",
        producer={},
    )
    bundle = bundle.with_graphs([graph])
    assert run(configure(resume=True)).bundle.manifest.graphs == bundle.manifest.graphs


def test_exports_of_earlier_weights_go(configure: Configure, tmp_path: Path) -> None:
    run(configure("training.epochs=1"))
    graphs = tmp_path / "run" / "graphs" / "onnx"
    graphs.mkdir(parents=True)
    (graphs / "encoder.onnx").touch()
    (tmp_path / "run" / "parity.json").touch()
    run(configure("training.epochs=2", resume=True))
    assert not (tmp_path / "run" / "graphs").exists()
    assert not (tmp_path / "run" / "parity.json").exists()


@pytest.mark.parametrize(
    ("overrides", "fields", "named"),
    [
        (["model.latent_dim=3"], {}, "model.latent_dim was 2, and is 3 now"),
        (["training.lr=0.5"], {}, "training.lr was 0.01, and is 0.5 now"),
        (["training.schedule=cosine"], {}, "training.schedule was 'none', and is 'cosine' now"),
        (["objective.reconstruction.loss=mse"], {}, "objective.reconstruction.loss was 'bce'"),
        (["corruption.gaussian.sigma=0.1"], {}, "corruption.gaussian.sigma was None, and is 0.1 now"),
        ([], {"seed": 9}, "seed was 0, and is 9 now"),
        ([], {"data": DataRequest()}, r"data\.digest was"),
    ],
)
def test_another_run_is_not_resumed(
    configure: Configure, tmp_path: Path, overrides: list[str], fields: dict, named: str
) -> None:
    run(configure(), stop_after=5)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(ConfigError, match=rf"cannot be resumed with other options: its {named}"):
        run(configure(*overrides, resume=True, **fields))
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_fewer_epochs_than_are_done_and_a_stretched_cosine_are_refused(configure: Configure, tmp_path: Path) -> None:
    run(configure())
    with pytest.raises(ConfigError, match="has 3 epochs done, and 2 are asked for"):
        run(configure("training.epochs=2", resume=True))
    run(configure("training.schedule=cosine", out=tmp_path / "cosine"))
    with pytest.raises(ConfigError, match=r"training\.epochs was 3, and is 4 now, over which its schedule spreads"):
        run(configure("training.schedule=cosine", "training.epochs=4", out=tmp_path / "cosine", resume=True))


def test_nothing_to_resume_is_an_error(configure: Configure) -> None:
    with pytest.raises(ConfigError, match=r"there is no checkpoint\.safetensors in"):
        run(configure(resume=True))
    with pytest.raises(ConfigError, match="give one of them"):
        run(configure(resume=True, overwrite=True))


def test_a_damaged_checkpoint_is_named(configure: Configure, tmp_path: Path) -> None:
    run(configure())
    path = tmp_path / "run" / "checkpoint.safetensors"
    whole = path.read_bytes()
    for damage in (whole[:-100], b"", b"not safetensors at all", whole[:8] + b"X" + whole[9:]):
        path.write_bytes(damage)
        with pytest.raises(IntegrityError, match=r"checkpoint\.safetensors cannot be read"):
            run(configure(resume=True))


@pytest.mark.parametrize(
    "line",
    ["3", "[]", "null", "{}", '{"epoch": 1, "train_loss": null}', '"epoch"', "[" * 100_000],
    ids=lambda line: line[:9],
)
def test_a_history_that_is_none_is_named(configure: Configure, tmp_path: Path, line: str) -> None:
    run(configure())
    (tmp_path / "run" / "history.jsonl").write_text(line + "\n")
    with pytest.raises(
        IntegrityError, match=r"Line 1 of .*history\.jsonl is not what a run writes of an epoch: remove"
    ):
        run(configure(resume=True))
    (tmp_path / "run" / "history.jsonl").unlink()
    assert run(configure(resume=True)).completed


def test_a_run_that_is_going_on_keeps_others_out(configure: Configure, tmp_path: Path) -> None:
    events = train(configure())
    next(events)
    for config in (configure(), configure(overwrite=True)):
        with pytest.raises(BusyError, match="Another run is writing into"):
            run(config)
    events.close()
    assert not (tmp_path / "run").exists()
    assert run(configure(), stop_after=5).epochs == 1
    events = train(configure(resume=True))
    next(events)
    with pytest.raises(BusyError, match="Another run is writing into"):
        run(configure(resume=True))
    events.close()


def test_the_checkpoint_holds_no_pickle(configure: Configure, tmp_path: Path) -> None:
    run(configure())
    tensors = load_file(tmp_path / "run" / "checkpoint.safetensors")
    assert {name.partition("/")[0] for name in tensors} == {"model", "best", "optimizer", "loop"}
