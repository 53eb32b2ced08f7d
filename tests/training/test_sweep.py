"""Sweeps: the grid, what is refused, and real tiny trainings in processes of their own."""

from __future__ import annotations

import csv
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from tiny_run import TINY, tiny_recipe

from aedeploy.bundle import open_bundle
from aedeploy.errors import BusyError, ConfigError, UnknownNameError
from aedeploy.files import locked
from aedeploy.recipes import load_recipe, short_names
from aedeploy.training.config import TrainConfig
from aedeploy.training.data.source import DataRequest
from aedeploy.training.events import Ended as TrainingEnded
from aedeploy.training.run import train
from aedeploy.training.sweep import Axis, SweepConfig, parse_axis, plan_sweep, run_sweep
from aedeploy.training.sweep.grid import check_axes, folder_name, grid, label
from aedeploy.training.sweep.plan import threads_each
from aedeploy.training.sweep.results import Row, Table, read_row
from aedeploy.training.sweep.run import Event, PointDone, PointFailed, PointProgress, SweepEnded, SweepStarted

Sweeping = Callable[..., SweepConfig]

FOREVER = "training.epochs=1000000"


@pytest.fixture(autouse=True, scope="module")
def _processes_of_one_thread() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture
def sweeping(tiny_data: Path, tmp_path: Path) -> Sweeping:
    """A configuration of a tiny sweep over some ``KEY=VALUES`` into ``tmp_path / "sweep"``."""

    def make(*over: str, overrides: tuple[str, ...] = (), **fields: Any) -> SweepConfig:
        fields = {"recipe": tiny_recipe("mlp-32", *overrides), "out": tmp_path / "sweep", "device": "cpu"} | fields
        data = DataRequest(data=str(tiny_data))
        return SweepConfig(**{"axes": [parse_axis(text) for text in over], "data": data, **fields})

    return make


def carried_out(config: SweepConfig) -> tuple[SweepEnded, list[Event]]:
    """The last event of a sweep, and all of them."""
    events = list(run_sweep(plan_sweep(config)))
    assert isinstance(events[0], SweepStarted)
    assert isinstance(events[-1], SweepEnded)
    return events[-1], events


def modified(folder: Path) -> dict[str, int]:
    """When each file of each point was written."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in sorted(folder.glob("*/*"))}


# The grid


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("model.x=2", (2,)),
        ("model.x = 2, 16 ,32", (2, 16, 32)),
        ("model.x=1e-3,0.5,true,relu", (1e-3, 0.5, True, "relu")),
        ("model.x=[128],[512,256],[]", ([128], [512, 256], [])),
        ("model.x=[[1,2],[3]],[4]", ([[1, 2], [3]], [4])),
        ("model.x={name='mlp',hidden=[1,2]},{name='conv'}", ({"name": "mlp", "hidden": [1, 2]}, {"name": "conv"})),
        ('model.x="a,b",c', ("a,b", "c")),
        ("model.x='[','a\"'", ("[", 'a"')),
        (r'model.x="a\",b",c', ('a",b', "c")),
        ('model.x=["]",","],2', (["]", ","], 2)),
        ("model.x=don't,won't", ("don't", "won't")),
        ("model.x=a=b,c", ("a=b", "c")),
        ("model.x=1,true,1.0", (1, True, 1.0)),
    ],
)
def test_an_axis_is_cut_at_its_commas_but_for_those_in_brackets_and_quotes(text: str, values: tuple[Any, ...]) -> None:
    assert parse_axis(text) == Axis("model.x", values)
    assert [type(value) for value in parse_axis(text).values] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "takes KEY=VALUE,VALUE,… with a dotted key"),
        ("model.latent_dim", "takes KEY=VALUE,VALUE,… with a dotted key"),
        ("latent_dim=2,3", "takes KEY=VALUE,VALUE,… with a dotted key"),
        ("model.=2,3", "takes KEY=VALUE,VALUE,… with a dotted key"),
        ("model.x=", "--over model.x= has no values"),
        ("model.x=2,,3", "a value is empty: there is a comma too many"),
        ("model.x=2,", "a comma too many"),
        ("model.x=2,3,2", "2 is given twice"),
        ("model.x=0.001,1e-3", "1e-3 is given twice"),
        ("model.x=[1,2],[3", "a bracket or a quote has no partner"),
        ("model.x=1],2", "a bracket or a quote has no partner"),
        ("model.x='a,b", "a bracket or a quote has no partner"),
        ("model.x=1,inf", "inf is no number, string, boolean, list or table"),
        ("model.x=2020-01-01", "2020-01-01 is no number"),
    ],
)
def test_what_is_no_axis_is_a_sentence(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason.replace("[", r"\[")):
        parse_axis(text)


def test_the_last_axis_of_a_grid_changes_fastest() -> None:
    points = grid([Axis("model.a", (1, 2)), Axis("model.b", ("x", "y"))])
    assert [tuple(point.values()) for point in points] == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]


def test_axes_that_cannot_go_together() -> None:
    with pytest.raises(ConfigError, match="nothing to sweep over"):
        check_axes([])
    with pytest.raises(ConfigError, match=r"--over model\.a is given twice"):
        check_axes([Axis("model.a", (1,)), Axis("model.a", (2,))])
    with pytest.raises(ConfigError, match=r"training\.epochs is given by --over, and by another option too"):
        check_axes([Axis("training.epochs", (1,))], fixed=["training.epochs"])


def test_a_key_is_called_by_as_few_of_its_words_as_tell_it_from_the_others() -> None:
    keys = ["model.latent_dim", "corruption.gaussian.sigma", "corruption.poisson.sigma", "seed"]
    assert list(short_names(keys).values()) == ["latent_dim", "gaussian.sigma", "poisson.sigma", "seed"]
    assert label({"model.latent_dim": 2, "model.hidden": [8, 4], "model.a": "relu"}) == (
        "latent_dim=2, hidden=[8, 4], a=relu"
    )


def test_a_point_has_a_folder_of_its_own_that_any_system_can_hold() -> None:
    taken: dict[str, Any] = {}
    expected = {
        "hidden-512-256": [512, 256],
        "hidden-512-256~2": "512-256",
        "hidden-none": [],
        "hidden--1": -1,
        "hidden-1": 1,
        "hidden-true": True,
        "hidden-TRUE~2": "TRUE",
        "hidden-a-b": "a/b",
        "hidden-..": "..",
    }
    for name, value in expected.items():
        values = {"model.hidden": value}
        assert folder_name(values, taken) == name
        taken[name] = values
        assert folder_name(values, taken) == name
    assert len(folder_name({"model.x": "y" * 1000}, taken)) < 200


# What is refused before anything trains


@pytest.mark.parametrize(
    ("over", "reason"),
    [
        (["model.latent_dimm=2,4"], r"--over model\.latent_dimm=2: .*latent_dimm' is not a known key.*'latent_dim'"),
        (["modle.latent_dim=2"], r"--over modle\.latent_dim: 'modle' is not a table of a recipe .*'model'"),
        (["model.latent_dim.x=2"], r"--over model\.latent_dim\.x: 'latent_dim' is a value, not a table"),
        (["training.lr=1e-3,-1"], r"--over training\.lr=-1: 'training\.lr' cannot be -1"),
        (["model.bottleneck.name=identity,gausian"], r"--over model\.bottleneck\.name=gausian: .*'gaussian'"),
        (["training.lr=1,1.0"], "Two points of the grid are the same model: lr=1 and lr=1.0"),
        (["model.latent_dim=100000000000"], r"--over model\.latent_dim=100000000000: A model for images of 8×8"),
    ],
)
def test_a_point_that_cannot_be_is_refused_by_its_values(
    sweeping: Sweeping, tmp_path: Path, over: list[str], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        plan_sweep(sweeping(*over))
    assert not (tmp_path / "sweep").exists()


def test_torchrun_is_not_what_a_sweep_is_started_by(
    sweeping: Sweeping, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="run it without torchrun, and give --jobs"):
        plan_sweep(sweeping("model.latent_dim=4,8"))
    assert not (tmp_path / "sweep").exists()


def test_k_above_the_latent_size_at_one_of_the_points_is_refused(sweeping: Sweeping) -> None:
    recipe = load_recipe("k-sparse", [*TINY, "model.bottleneck.k=4"])
    assert len(plan_sweep(sweeping("model.latent_dim=4,8", recipe=recipe)).points) == 2
    with pytest.raises(ConfigError, match=r"--over model\.latent_dim=2: .*k"):
        plan_sweep(sweeping("model.latent_dim=8,2", recipe=recipe))


def test_a_size_that_one_of_the_points_cannot_take_is_refused(sweeping: Sweeping, tiny_data: Path) -> None:
    recipe, data = tiny_recipe("ae"), DataRequest(data=str(tiny_data), image_size=(8, 8))
    assert len(plan_sweep(sweeping("model.backbone.stages=1,2", recipe=recipe, data=data)).points) == 2
    with pytest.raises(ConfigError, match=r"--over model\.backbone\.stages=4: .*multiples of 16"):
        plan_sweep(sweeping("model.backbone.stages=1,4", recipe=recipe, data=data))


def test_what_the_recipe_has_by_itself_is_not_blamed_on_the_values(sweeping: Sweeping) -> None:
    with pytest.raises(ConfigError, match=r"^'training\.lrr' is not a known key"):
        plan_sweep(sweeping("model.latent_dim=2,4", overrides=("training.lrr=1",)))


@pytest.mark.parametrize(
    ("fields", "error", "reason"),
    [
        ({"jobs": 0}, ConfigError, "--jobs 0"),
        ({"seeds": 0}, ConfigError, "--seeds 0"),
        ({"device": "gpu"}, UnknownNameError, "no device 'gpu'"),
        ({"data": DataRequest(data="minst")}, UnknownNameError, "did you mean 'mnist'"),
    ],
)
def test_what_else_cannot_be(sweeping: Sweeping, fields: dict[str, Any], error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        plan_sweep(sweeping("model.latent_dim=2", **fields))


def test_a_folder_that_holds_something_else_is_refused(sweeping: Sweeping, tmp_path: Path) -> None:
    config = sweeping("model.latent_dim=2")
    (tmp_path / "sweep").write_text("mine")
    with pytest.raises(ConfigError, match="cannot be written to"):
        plan_sweep(config)
    (tmp_path / "sweep").unlink()
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is there already, and holds no sweep"):
        plan_sweep(config)
    (tmp_path / "sweep" / "sweep.json").write_text("{")
    with pytest.raises(ConfigError, match="is not what a sweep writes"):
        plan_sweep(config)
    (tmp_path / "sweep" / "sweep.json").write_text('{"version": 2}')
    with pytest.raises(ConfigError, match="is of version 2, and this release reads 1"):
        plan_sweep(config)


def test_so_many_processes_as_suit_the_cores_and_so_many_threads_as_are_left(
    sweeping: Sweeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = plan_sweep(sweeping("model.latent_dim=2,3,4,5"))
    monkeypatch.setattr("aedeploy.training.sweep.plan.available_cores", lambda: 8)
    roomy = replace(sweep, most_jobs=100)
    assert [roomy.jobs(left) for left in (0, 1, 4, 20)] == [1, 1, 4, 8]
    assert replace(sweep, most_jobs=3).jobs(20) == 3
    assert replace(roomy, device="cuda").jobs(20) == 1
    asked = replace(roomy, config=replace(sweep.config, jobs=5))
    assert [asked.jobs(left) for left in (2, 20)] == [2, 5]
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert [threads_each(jobs) for jobs in (1, 3, 8, 16)] == [8, 2, 1, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert [threads_each(jobs) for jobs in (1, 8)] == [2, 1]


# Real trainings


@pytest.fixture(scope="module")
def swept(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[SweepConfig, SweepEnded]:
    """A sweep over two latent sizes and two depths, carried out. Tests must leave its folder as it is."""
    config = SweepConfig(
        recipe=tiny_recipe("mlp-32", "training.epochs=2"),
        axes=[parse_axis("model.latent_dim=4,2"), parse_axis("model.backbone.hidden=[8],[8,4]")],
        out=tmp_path_factory.mktemp("sweeps") / "sizes",
        data=DataRequest(data=str(tiny_data)),
        seed=3,
        device="cpu",
        jobs=2,
    )
    return config, carried_out(config)[0]


def test_the_grid_is_complete_and_in_its_order(swept: tuple[SweepConfig, SweepEnded]) -> None:
    config, ended = swept
    assert (ended.trained, ended.skipped, ended.failed, ended.completed) == (4, 0, 0, True)
    rows = ended.table.rows
    assert [tuple(row.values.values()) for row in rows] == [(4, [8]), (4, [8, 4]), (2, [8]), (2, [8, 4])]
    # 64-8-4-8-64 and 64-8-4-2-4-8-64, with biases.
    assert rows[0].parameters == 520 + 36 + 40 + 576
    assert rows[3].parameters == 520 + 36 + 10 + 12 + 40 + 576
    assert [(row.latent, row.compression_ratio, row.epochs) for row in rows] == [
        (4, 16.0, 2),
        (4, 16.0, 2),
        (2, 32.0, 2),
        (2, 32.0, 2),
    ]
    for row in rows:
        manifest = open_bundle(config.out / row.point).manifest
        assert row.test == manifest.metrics
        assert manifest.recipe["model"]["backbone"]["hidden"] == row.values["model.backbone.hidden"]
        assert manifest.provenance.seed == 3
        lines = (config.out / row.point / "history.jsonl").read_text().splitlines()
        assert row.seconds == round(sum(json.loads(line)["seconds"] for line in lines), 3)


def test_a_point_is_what_training_it_alone_gives(swept: tuple[SweepConfig, SweepEnded], tmp_path: Path) -> None:
    config, ended = swept
    recipe = load_recipe("mlp-32", [*TINY, "training.epochs=2", "model.backbone.hidden=[8,4]", "model.latent_dim=2"])
    alone = TrainConfig(recipe=recipe, out=tmp_path / "alone", data=config.data, seed=3, device="cpu")
    bundle = next(event.bundle for event in train(alone) if isinstance(event, TrainingEnded))
    assert bundle.manifest.weights.sha256 == ended.table.rows[3].weights
    assert bundle.manifest.metrics == ended.table.rows[3].test


def test_the_same_again_changes_nothing(swept: tuple[SweepConfig, SweepEnded]) -> None:
    config, before = swept
    files = modified(config.out)
    ended, events = carried_out(config)
    assert [type(event) for event in events] == [SweepStarted, SweepEnded]
    assert (ended.trained, ended.skipped) == (0, 4)
    assert ended.table == before.table
    assert modified(config.out) == files
    assert not (config.out / ".lock").exists()


def test_json_csv_and_markdown_agree(swept: tuple[SweepConfig, SweepEnded]) -> None:
    config, ended = swept
    written = json.loads((config.out / "results.json").read_text())
    assert written == json.loads(json.dumps(ended.table.as_dict()))
    assert written["best"]["mse"] == min(written["results"], key=lambda row: row["test"]["mse"])["point"]
    assert written["best"]["psnr"] == written["best"]["mse"]
    assert "loss" not in written["best"]
    with open(config.out / "results.csv", newline="") as stream:
        lines = list(csv.DictReader(stream))
    for row, line in zip(written["results"], lines, strict=True):
        assert line["point"] == row["point"]
        assert json.loads(line["model.backbone.hidden"]) == row["values"]["model.backbone.hidden"]
        for name in ("latent", "parameters", "compression_ratio", "epochs", "train_loss", "seconds"):
            assert float(line[name]) == row[name]
        for name, value in row["test"].items():
            assert float(line[name]) == value
        assert set(line["best"].split()) == {name for name, point in written["best"].items() if point == row["point"]}
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (config.out / "results.md").read_text().splitlines()
        if line.startswith("|")
    ]
    heads, rows = cells[0], cells[2:]
    assert heads[:6] == ["latent_dim", "hidden", "latent", "parameters", "ratio", "epochs"]
    assert len(rows) == 4
    for row, line in zip(written["results"], rows, strict=True):
        found = dict(zip(heads, line, strict=True))
        assert found["hidden"] == json.dumps(row["values"]["model.backbone.hidden"])
        assert found["parameters"] == f"{row['parameters']:,}"
        bold = "**" if written["best"]["mse"] == row["point"] else ""
        assert found["mse"] == f"{bold}{row['test']['mse']:.4g}{bold}"


def test_a_sweep_with_another_base_is_refused_and_names_the_difference(swept: tuple[SweepConfig, SweepEnded]) -> None:
    config, _ = swept
    others = {
        "model.backbone.activation was 'relu', and is 'elu' now": {
            "recipe": tiny_recipe("mlp-32", "training.epochs=2", "model.backbone.activation=elu")
        },
        "training.epochs was 2, and is 3 now": {"recipe": tiny_recipe("mlp-32")},
        "variant was 'mlp-32', and is 'mlp-20' now": {"recipe": tiny_recipe("mlp-20", "training.epochs=2")},
        "seed was 3, and is 4 now": {"seed": 4},
        "data.image_shape was": {"data": replace(config.data, image_size=(4, 4))},
        "data.name was 'tiny', and is 'digits' now": {"data": DataRequest()},
        "is over model.latent_dim and model.backbone.hidden, and not over model.latent_dim": {"axes": config.axes[:1]},
    }
    before = (config.out / "sweep.json").read_bytes()
    for reason, fields in others.items():
        with pytest.raises(ConfigError, match=reason):
            plan_sweep(replace(config, **fields))
    assert (config.out / "sweep.json").read_bytes() == before


def test_more_values_are_trained_beside_those_that_are_there(sweeping: Sweeping, tmp_path: Path) -> None:
    short = ("training.epochs=1",)
    carried_out(sweeping("model.latent_dim=4", overrides=short))
    files = modified(tmp_path / "sweep")
    ended, _ = carried_out(sweeping("model.latent_dim=2,4", overrides=short))
    assert (ended.trained, ended.skipped) == (1, 1)
    assert [row.latent for row in ended.table.rows] == [2, 4]
    assert files.items() <= modified(tmp_path / "sweep").items()
    # Asked for one of them, the table still has both.
    ended, _ = carried_out(sweeping("model.latent_dim=4", overrides=short))
    assert (ended.trained, ended.skipped) == (0, 1)
    assert [row.latent for row in ended.table.rows] == [4, 2]


def test_seeds_are_an_axis(sweeping: Sweeping, tmp_path: Path) -> None:
    ended, _ = carried_out(sweeping("model.latent_dim=2", overrides=("training.epochs=1",), seed=5, seeds=2))
    rows = ended.table.rows
    assert [row.values for row in rows] == [{"model.latent_dim": 2, "seed": seed} for seed in (5, 6)]
    assert rows[0].weights != rows[1].weights
    bundles = [open_bundle(tmp_path / "sweep" / row.point) for row in rows]
    assert [bundle.manifest.provenance.seed for bundle in bundles] == [5, 6]


def test_a_point_that_explodes_is_listed_and_the_others_go_on(sweeping: Sweeping, tmp_path: Path) -> None:
    overrides = (
        "model.output=linear",
        "objective.reconstruction.loss=mse",
        "training.optimizer=sgd",
        "training.epochs=1",
    )
    config = sweeping("training.lr=1e12,1e-3", overrides=overrides)
    ended, events = carried_out(config)
    assert (ended.trained, ended.failed, ended.completed) == (1, 1, True)
    (failed,) = [event for event in events if isinstance(event, PointFailed)]
    assert "try a lower --lr than 1e+12" in failed.failure.reason
    assert "DivergedError" in failed.trace
    assert json.loads((tmp_path / "sweep" / "results.json").read_text())["failures"] == [
        {"point": "lr-1000000000000.0", "values": {"training.lr": 1e12}, "reason": failed.failure.reason}
    ]
    assert f"- lr=1000000000000.0: {failed.failure.reason}" in (tmp_path / "sweep" / "results.md").read_text()
    again, _ = carried_out(config)  # it is tried again, and fails again
    assert (again.skipped, again.failed) == (1, 1)


def test_images_that_changed_between_two_runs_do_not_come_into_one_table(sweeping: Sweeping, tmp_path: Path) -> None:
    def images(seed: int) -> DataRequest:
        pixels = np.random.default_rng(seed).integers(0, 256, (20, 8, 8), dtype=np.uint8)
        np.savez(tmp_path / "mine.npz", images=pixels)
        return DataRequest(data=str(tmp_path / "mine.npz"))

    short = ("training.epochs=1",)
    carried_out(sweeping("model.latent_dim=2", overrides=short, data=images(0)))
    ended, _ = carried_out(sweeping("model.latent_dim=2,4", overrides=short, data=images(1)))
    assert (ended.skipped, ended.failed) == (1, 1)
    assert "images of mine are no longer those" in ended.table.failures[0].reason
    assert not (tmp_path / "sweep" / "latent_dim-4" / "bundle.json").exists()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_process_that_is_killed_is_one_point_lost(sweeping: Sweeping) -> None:
    config = sweeping("training.epochs=1000000,1", jobs=1)
    with closing(run_sweep(plan_sweep(config))) as events:
        found: list[Event] = []
        for event in events:
            found.append(event)
            if isinstance(event, PointProgress) and event.point == "epochs-1000000":
                for child in psutil.Process().children():
                    child.send_signal(signal.SIGKILL)
    (failed,) = [event.failure for event in found if isinstance(event, PointFailed)]
    assert failed.values == {"training.epochs": 1000000}
    assert failed.reason.startswith("The process was killed")
    assert [event.row.point for event in found if isinstance(event, PointDone)] == ["epochs-1"]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_process_that_is_stopped_from_outside_is_said_to_be(sweeping: Sweeping, tmp_path: Path) -> None:
    with closing(run_sweep(plan_sweep(sweeping("training.epochs=1000000")))) as events:
        found: list[Event] = []
        for event in events:
            found.append(event)
            if isinstance(event, PointProgress) and event.share > 0:
                for child in psutil.Process().children():
                    child.send_signal(signal.SIGTERM)
                break
        found += events
    (failed,) = [event.failure for event in found if isinstance(event, PointFailed)]
    assert "stopped from outside" in failed.reason
    assert (tmp_path / "sweep" / "epochs-1000000" / "checkpoint.safetensors").is_file()


def test_left_early_no_process_stays_and_the_lock_goes(sweeping: Sweeping, tmp_path: Path) -> None:
    config = sweeping("model.latent_dim=2,4", overrides=(FOREVER,), jobs=2)
    with closing(run_sweep(plan_sweep(config))) as events:
        next(event for event in events if isinstance(event, PointProgress))
        children = psutil.Process().children()
        assert len(children) == 2
        with pytest.raises(BusyError, match="Another sweep is at work in"):
            next(run_sweep(plan_sweep(config)))
    assert not any(child.is_running() for child in children)
    assert not (tmp_path / "sweep" / ".lock").exists()


def test_a_stop_before_the_first_point_trains_nothing(sweeping: Sweeping) -> None:
    stop = threading.Event()
    stop.set()
    events = list(run_sweep(plan_sweep(sweeping("model.latent_dim=2,4")), stop))
    assert [type(event) for event in events] == [SweepStarted, SweepEnded]
    assert isinstance(events[-1], SweepEnded)
    assert not events[-1].completed
    assert events[-1].table.unfinished == ("latent_dim-2", "latent_dim-4")


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
def test_a_point_whose_folder_is_still_held_waits_for_it(sweeping: Sweeping, tmp_path: Path) -> None:
    config = sweeping("model.latent_dim=2,4", overrides=("training.epochs=1",), jobs=2)
    held = tmp_path / "sweep" / "latent_dim-2"
    sweep = plan_sweep(config)
    done = []
    with closing(run_sweep(sweep)) as events:
        assert isinstance(next(events), SweepStarted)
        held.mkdir()
        with locked(held / ".lock", "busy"):  # as a process does whose sweep was killed just now
            for event in events:
                if isinstance(event, PointDone):
                    done.append(event.row.latent)
                    break
        done += [event.row.latent for event in events if isinstance(event, PointDone)]
    assert done == [4, 2]


@pytest.mark.parametrize("left", ["history.jsonl", ".0123456789abcdef.aedeploy-partial"])
def test_what_a_process_left_that_was_killed_before_its_checkpoint_is_no_obstacle(
    sweeping: Sweeping, tmp_path: Path, left: str
) -> None:
    config = sweeping("model.latent_dim=2", overrides=("training.epochs=1",))
    sweep = plan_sweep(config)
    with closing(run_sweep(sweep)) as events:
        next(events)
    (tmp_path / "sweep" / "latent_dim-2").mkdir()
    (tmp_path / "sweep" / "latent_dim-2" / left).write_text('{"epoch": 1')
    ended, _ = carried_out(config)
    assert (ended.trained, ended.failed) == (1, 0)


def test_a_row_counts_for_the_weights_it_was_written_for_alone(sweeping: Sweeping, tmp_path: Path) -> None:
    config = sweeping("model.latent_dim=2", overrides=("training.epochs=1",))
    carried_out(config)
    folder = tmp_path / "sweep" / "latent_dim-2"
    row = read_row(folder)
    assert row is not None
    bundle = open_bundle(folder)
    other = bundle.manifest.weights.model_copy(update={"sha256": "0" * 64})
    bundle.save(bundle.manifest.model_copy(update={"weights": other}))
    assert read_row(folder) is None
    ended, _ = carried_out(config)  # it goes on from the checkpoint, which is at its end
    assert ended.trained == 1
    assert ended.table.rows[0].weights == row.weights


# The table


def test_the_best_is_the_least_error_and_the_greatest_likeness_and_losses_are_not_compared() -> None:
    def row(point: str, **test: float | None) -> Row:
        return Row(
            point=point,
            values={"model.x": point},
            latent=1,
            parameters=1,
            compression_ratio=1.0,
            epochs=1,
            train_loss=None,
            test=test,
            seconds=0.0,
            weights="",
            data="",
        )

    rows = (
        row("a", loss=1.0, mse=0.2, elbo_nats=-9.0, psnr=None, noisy_psnr=3.0, kl_nats=1.0),
        row("b", loss=2.0, mse=0.1, elbo_nats=-8.0, psnr=20.0, noisy_psnr=2.0, kl_nats=2.0),
        row("c|d", loss=3.0, mse=0.1, elbo_nats=-9.5, psnr=10.0, noisy_psnr=1.0, kl_nats=3.0),
    )
    axes = (Axis("model.x", ("a", "b", "c|d")),)
    table = Table(variant="v", data="d", axes=axes, rows=rows, failures=(), unfinished=("e",))
    assert table.best == {"mse": "b", "elbo_nats": "b", "psnr": "b"}
    heads, cells = table.cells()
    assert heads == ["x", "latent", "parameters", "ratio", "epochs", *list(rows[0].test)[:4], "kl_nats", "seconds"]
    assert cells[0][heads.index("psnr")] == ("–", False)
    assert [line[heads.index("mse")] for line in cells] == [("0.2", False), ("0.1", True), ("0.1", False)]
    text = table.markdown()
    assert "| c\\|d |" in text
    assert "Not finished: e." in text
    assert "noisy_psnr" in table.csv()
