"""Whole runs on tiny data: what they write, and that a seed decides everything."""

from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_run import Configure, tiny_recipe

from aedeploy.bundle import open_bundle
from aedeploy.bundle.golden import BATCHES, load_golden, load_samples
from aedeploy.errors import BackendError, ConfigError, TrainingError
from aedeploy.models.load import load_model
from aedeploy.recipes import recipe_from_dict, recipe_names
from aedeploy.training.config import TrainConfig
from aedeploy.training.data.source import DataRequest
from aedeploy.training.events import Ended, EpochDone, Event, Started, StepsDone
from aedeploy.training.loop import batches_of
from aedeploy.training.run import train


def run(config: TrainConfig) -> tuple[list[Event], Ended]:
    events = list(train(config))
    assert isinstance(events[-1], Ended)
    return events, events[-1]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path / "weights.safetensors")


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_events_come_in_order(configure: Configure) -> None:
    events, ended = run(configure())
    assert isinstance(events[0], Started)
    assert (events[0].steps, events[0].epochs, events[0].epochs_done) == (4, 3, 0)
    assert [type(event) for event in events[1:-1]] == [StepsDone, StepsDone, StepsDone, StepsDone, EpochDone] * 3
    assert ended.completed
    assert ended.epochs == 3


def test_the_bundle_is_whole_and_its_golden_vectors_are_its_models(configure: Configure) -> None:
    _, ended = run(configure())
    bundle = open_bundle(ended.bundle.path)
    assert bundle == ended.bundle
    for record in bundle.files():
        bundle.file(record)
    model = load_model(bundle).module
    cases = load_golden(bundle.file(bundle.manifest.golden))
    assert {(case.role, case.batch) for case in cases} == {
        (role, batch) for role in ("encoder", "decoder", "autoencoder") for batch in BATCHES
    }
    with torch.inference_mode():
        for case in cases:
            if case.role == "autoencoder":
                output = model(torch.from_numpy(case.inputs["image"]))
                torch.testing.assert_close(output, torch.from_numpy(case.outputs["reconstruction"]))
    assert load_samples(bundle.file(bundle.manifest.golden)).shape == (3, 8, 8, 1)
    provenance = bundle.manifest.provenance
    assert provenance.seed == 0
    assert provenance.data is not None
    assert provenance.data.train == 27
    assert provenance.created.endswith("+00:00")


def test_the_manifest_holds_the_whole_recipe_defaults_included(configure: Configure) -> None:
    config = configure()
    _, ended = run(config)
    recipe = recipe_from_dict(ended.bundle.manifest.recipe)
    assert recipe.training["optimizer"] == "adam"
    assert recipe.model["backbone"]["batch_norm"] is False
    assert recipe.objective["reconstruction"]["weight"] == 1.0
    again = dataclasses.replace(config, recipe=recipe, out=config.out.with_name("again"))
    assert same(weights(run(again)[1].bundle.path), weights(config.out))


def test_nothing_in_the_bundle_names_a_path(configure: Configure, tmp_path: Path) -> None:
    _, ended = run(configure())
    for path in ended.bundle.path.rglob("*"):
        assert path.stat().st_mode & 0o044 == 0o044, "others may read it"
        content = path.read_bytes()
        assert str(tmp_path).encode() not in content
        assert str(Path.cwd()).encode() not in content


def test_history_has_a_line_an_epoch(configure: Configure) -> None:
    events, ended = run(configure(variant="vae"))
    lines = [json.loads(line) for line in (ended.bundle.path / "history.jsonl").read_text().splitlines()]
    epochs = [event for event in events if isinstance(event, EpochDone)]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    for line, epoch in zip(lines, epochs, strict=True):
        assert line["train_loss"] == epoch.train_loss
        assert line["held_out_parts"] == {
            "reconstruction": pytest.approx(epoch.held_out_parts["reconstruction"]),
            "kl": pytest.approx(epoch.held_out_parts["kl"]),
        }
    assert ended.train_loss == lines[-1]["train_loss"]


def test_training_lowers_the_loss(configure: Configure) -> None:
    events, _ = run(configure("training.epochs=30"))
    losses = [event.held_out_loss for event in events if isinstance(event, EpochDone)]
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("variant", recipe_names())
def test_the_same_seed_gives_the_same_weights(configure: Configure, tmp_path: Path, variant: str) -> None:
    """Whatever the random state outside, however often it tells of progress, and whether it streams its images."""
    for name, seed, tick in (("a", 1, 0.0), ("b", 1, 60.0), ("c", 2, 0.0)):
        torch.manual_seed(hash(name))
        config = configure("training.epochs=1", variant=variant, out=tmp_path / name, seed=seed, tick_seconds=tick)
        run(config)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_the_random_state_outside_is_left_as_it_was(configure: Configure) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(configure(variant="vae"))
    assert torch.equal(torch.rand(3), expected)


def test_streamed_training_gives_the_weights_of_training_in_memory(
    configure: Configure, tiny_data: Path, tmp_path: Path
) -> None:
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    for at, image in enumerate(np.load(tiny_data)["images"]):
        Image.fromarray(image).save(folder / f"{at:02}.png")
    (folder / "07b.png").write_text("broken")
    for name, limit in (("kept", None), ("streamed", 0)):
        data = DataRequest(data=str(folder), workers=2, memory_limit=limit)
        run(configure(variant="denoising", out=tmp_path / name, data=data))
    assert same(weights(tmp_path / "kept"), weights(tmp_path / "streamed"))


def test_the_best_epoch_is_kept_not_the_last(configure: Configure) -> None:
    """A rate that grows too large on the way: the held-out loss gets worse again."""
    events, ended = run(configure("training.epochs=8", "training.lr=0.3"))
    losses = [event.held_out_loss for event in events if isinstance(event, EpochDone)]
    best = 1 + losses.index(min(losses))
    assert losses[-1] > min(losses), "the case that this test is about"
    assert ended.metrics["best_epoch"] == best
    assert ended.metrics["loss"] == pytest.approx(min(losses))


@pytest.mark.parametrize(("normalisation", "output"), [("standard", "linear"), ("none", "sigmoid")])
def test_metrics_are_those_of_the_model(configure: Configure, normalisation: str, output: str) -> None:
    overrides = [f"model.normalisation={normalisation}", f"model.output={output}"]
    _, ended = run(configure(*overrides, "objective.reconstruction.loss=mse"))
    model = load_model(ended.bundle).module
    samples = load_samples(ended.bundle.file(ended.bundle.manifest.golden))  # all three held-out images
    images = torch.from_numpy(samples).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        outputs = model(images)
    mse = (outputs - images).square().mean().item()
    assert ended.metrics["mse"] == pytest.approx(mse, rel=1e-5)
    assert ended.metrics["mae"] == pytest.approx((outputs - images).abs().mean().item(), rel=1e-5)
    assert ended.metrics["psnr"] == pytest.approx(-10 * np.log10(mse), rel=1e-5)
    assert ("bce" in ended.metrics) == (output == "sigmoid")
    if output == "sigmoid":
        bce = torch.nn.functional.binary_cross_entropy(outputs, images).item()
        assert ended.metrics["bce"] == pytest.approx(bce, rel=1e-4)
        assert ended.metrics["loss"] == pytest.approx(mse, rel=1e-5)


def test_metrics_of_a_vae(configure: Configure) -> None:
    _, ended = run(configure("objective.kl.weight=0.5", variant="vae"))
    found = ended.metrics
    assert found["kl_nats"] == pytest.approx(found["loss_kl"], rel=1e-5)
    assert found["loss"] == pytest.approx(found["loss_reconstruction"] + 0.5 * found["loss_kl"])
    assert found["elbo_nats"] == pytest.approx(-(found["loss_reconstruction"] + found["kl_nats"]), rel=1e-5)
    _, squared = run(configure(variant="vae-2d", overwrite=True))
    assert "elbo_nats" not in squared.metrics


def test_metrics_of_a_denoiser(configure: Configure) -> None:
    _, ended = run(configure("corruption.gaussian.sigma=0.1", "model.output=sigmoid", variant="denoising"))
    assert ended.metrics["noisy_mse"] == pytest.approx(0.01, rel=0.3)
    assert ended.metrics["denoised_mse"] == pytest.approx(ended.metrics["loss"], rel=1e-4)
    assert ended.bundle.manifest.denoises


@pytest.mark.parametrize("variant", ["mlp-32", "ae"])
def test_bf16_trains_and_the_bundle_is_float32(configure: Configure, variant: str) -> None:
    _, ended = run(configure("training.precision=bf16", variant=variant))
    assert all(tensor.dtype == torch.float32 for tensor in weights(ended.bundle.path).values())
    assert np.isfinite(ended.metrics["loss"])


def test_clipping_limits_what_a_gradient_does(configure: Configure, tmp_path: Path) -> None:
    moved = {}
    for name, clip in (("free", 1e9), ("clipped", 1e-4)):
        config = configure(
            "training.optimizer=sgd", f"training.grad_clip={clip}", "training.epochs=1", out=tmp_path / name
        )
        run(config)
        moved[name] = weights(tmp_path / name)["trunk.1.weight"]
    start = run(configure("training.optimizer=sgd", "training.grad_clip=1e-12", "training.epochs=1"))[1]
    origin = weights(start.bundle.path)["trunk.1.weight"]
    assert (moved["clipped"] - origin).norm() < 0.01 * (moved["free"] - origin).norm()


def test_a_loss_that_is_no_number_stops_and_says_what_to_try(configure: Configure) -> None:
    """A rate that is far too large for a linear output and squared error, from the first epoch on."""
    config = configure(
        "model.output=linear", "objective.reconstruction.loss=mse", "training.optimizer=sgd", "training.lr=1e12"
    )
    with pytest.raises(TrainingError, match=r"in epoch 1 .* lower --lr than 1e\+12, or clip the gradients"):
        run(config)
    assert not config.out.exists()


def test_when_a_later_epoch_fails_the_best_earlier_one_is_kept(configure: Configure) -> None:
    config = configure("training.epochs=2")
    _, ended = run(config)
    checkpoint = config.out / "checkpoint.safetensors"
    with safe_open(checkpoint, framework="pt") as stored:
        metadata, tensors = stored.metadata(), {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    tensors["model/trunk.1.weight"][0, 0] = torch.nan  # what a broken step leaves
    save_file(tensors, checkpoint, metadata)
    (config.out / "bundle.json").unlink()
    going_on = configure("training.epochs=4", resume=True)
    best = ended.metrics["best_epoch"]
    with pytest.raises(TrainingError, match=rf"number in epoch 3 .* The weights of epoch {best} are kept in"):
        run(going_on)
    bundle = open_bundle(config.out)
    assert bundle.manifest.weights == ended.bundle.manifest.weights
    assert bundle.manifest.metrics["mse"] == ended.metrics["mse"]
    load_model(bundle)


def test_asked_to_stop_it_leaves_a_bundle(configure: Configure) -> None:
    stop = threading.Event()
    events = []
    for event in train(configure(), stop):
        events.append(event)
        if isinstance(event, StepsDone):
            stop.set()
    ended = events[-1]
    assert isinstance(ended, Ended)
    assert (ended.completed, ended.epochs, ended.train_loss) == (False, 0, None)
    assert sum(isinstance(event, StepsDone) for event in events) == 1
    load_model(open_bundle(ended.bundle.path))


def test_an_existing_folder_is_kept_unless_told_otherwise(configure: Configure) -> None:
    config = configure()
    run(config)
    (config.out / "graphs" / "onnx").mkdir(parents=True)
    (config.out / "mine.txt").write_text("notes")
    with pytest.raises(ConfigError, match="is there already: give --resume"):
        run(config)
    run(dataclasses.replace(config, overwrite=True, seed=7))
    assert open_bundle(config.out).manifest.provenance.seed == 7
    assert not (config.out / "graphs").exists()
    assert (config.out / "mine.txt").read_text() == "notes"


def test_what_is_overwritten_stays_until_there_is_something_in_its_place(configure: Configure) -> None:
    config = configure()
    _, ended = run(config)
    before = {path.name: path.read_bytes() for path in config.out.iterdir()}
    exploding = configure(
        "model.output=linear",
        "objective.reconstruction.loss=mse",
        "training.optimizer=sgd",
        "training.lr=1e12",
        overwrite=True,
    )
    with pytest.raises(TrainingError):
        run(exploding)
    assert {path.name: path.read_bytes() for path in config.out.iterdir()} == before
    events = train(dataclasses.replace(config, overwrite=True, seed=7))
    assert any(isinstance(event, EpochDone) for event in events)  # and no further: the run's own checkpoint is there
    events.close()
    bundle = open_bundle(config.out)
    assert bundle == ended.bundle
    for record in bundle.files():
        bundle.file(record)
    run(dataclasses.replace(config, resume=True, seed=7))
    assert open_bundle(config.out).manifest.provenance.seed == 7
    assert len((config.out / "history.jsonl").read_text().splitlines()) == 3


def test_an_overwritten_history_is_not_the_new_runs(configure: Configure) -> None:
    """Stopped before the end of its first epoch, it has none."""
    config = configure()
    run(config)
    stop = threading.Event()
    stop.set()
    for event in train(dataclasses.replace(config, overwrite=True, seed=7), stop):
        last = event
    assert isinstance(last, Ended)
    assert last.epochs == 0
    assert (config.out / "history.jsonl").read_text() == ""


def test_images_that_no_memory_can_hold_are_refused_by_their_size(configure: Configure, tiny_data: Path) -> None:
    recipe = tiny_recipe("ae", "model.backbone.latent=spatial")
    data = DataRequest(data=str(tiny_data), image_size=(1 << 19, 1 << 19))
    with pytest.raises(ConfigError, match=r"take 7,680\.0 GiB, and .* are free: lower --image-size"):
        run(dataclasses.replace(configure(data=data), recipe=recipe))


def test_a_device_that_is_not_there_is_an_error(configure: Configure) -> None:
    missing = "mps" if torch.cuda.is_available() else "cuda"
    with pytest.raises(BackendError, match=f"--device {missing}: PyTorch finds no such device"):
        run(dataclasses.replace(configure(), device=missing))


def test_nonsense_is_refused_before_images_are_read(configure: Configure) -> None:
    nowhere = DataRequest(data="/nowhere/at/all")
    with pytest.raises(ConfigError, match="latent_dim' cannot be 0"):
        run(configure("model.latent_dim=0", data=nowhere))
    with pytest.raises(ConfigError, match=r"'training.epochs' cannot be 0"):
        run(configure("training.epochs=0", data=nowhere))
    with pytest.raises(ConfigError, match=r"'optimiser' is not|did you mean 'optimizer'"):
        run(configure("training.optimiser=adam", data=nowhere))


def test_a_size_that_the_backbone_cannot_take_is_refused_before_images_are_read(
    configure: Configure, tmp_path: Path
) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("not even an image")
    with pytest.raises(ConfigError, match="multiples of 4"):
        run(configure(variant="ae", data=DataRequest(data=str(tmp_path), image_size=(30, 30))))


@pytest.mark.parametrize(
    ("images", "batch_size", "sizes"), [(10, 4, [4, 4, 2]), (9, 4, [4, 5]), (1, 4, [1]), (4, 1, [1] * 4)]
)
def test_no_batch_of_one_is_left_over(images: int, batch_size: int, sizes: list[int]) -> None:
    batches = batches_of(torch.arange(images), batch_size)
    assert [len(batch) for batch in batches] == sizes
    assert torch.equal(torch.cat(batches), torch.arange(images))


def test_batch_norm_and_dropout_train(configure: Configure, tiny_data: Path) -> None:
    recipe = tiny_recipe(
        "mlp-32", "model.backbone.batch_norm=true", "model.backbone.dropout=0.2", "training.batch_size=13"
    )
    _, ended = run(dataclasses.replace(configure(), recipe=recipe))
    load_model(ended.bundle)
