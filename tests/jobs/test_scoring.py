"""``reconstruct --score``: the errors, the threshold, the heat maps; and that odd images are told from usual ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sink_rows import job_settings
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle
from aedeploy.data import digits
from aedeploy.errors import ConfigError
from aedeploy.images.geometry import Placement
from aedeploy.images.heatmap import VIRIDIS
from aedeploy.images.ssim import ssim
from aedeploy.jobs.calibration import Calibration
from aedeploy.jobs.chunk import Row
from aedeploy.jobs.plan import Plan, plan_job
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.run import Summary, run_job
from aedeploy.jobs.scoring import Scorer, heatmap_top
from aedeploy.jobs.spec import Scoring, Source
from aedeploy.runtime.codec import Codec

RunJob = Callable[..., Summary]

CALIBRATION = Path(".aedeploy/calibration.json")


def write_images(folder: Path, images: np.ndarray, start: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images, start):
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(folder / f"{number:04d}.png")


def noise(count: int, *size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *size), dtype=np.uint8)


def scores(folder: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(path) for path in sorted(folder.glob("scores-*.parquet"))])


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(np.float64)


def files(folder: Path) -> list[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if path.parts[0] != ".aedeploy")


# What is measured.


def scorer(tmp_path: Path, **scoring: Any) -> Scorer:
    return Scorer(job_settings(tmp_path / "out"), Scoring(**scoring))


def row(placement: Placement | None = None) -> Row:
    return Row(source=Source(path="a.png", bytes=1, stamp=1, file="a.png"), placement=placement)


def test_the_error_is_the_mean_of_squares_in_units_of_the_whole_range(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2, 2, 3), np.uint8)
    made = np.zeros((2, 3, 2, 2), np.float32)
    made[1, 0, 0, 0], made[1, 2, 1, 1] = 0.5, 1.0
    errors = scorer(tmp_path).measure([row(), row()], pixels, made)
    assert errors["mse"].tolist() == [0.0, pytest.approx(1.25 / 12)]
    assert errors["mse"].dtype == errors["ssim"].dtype == np.float32
    assert errors["ssim"][0] == 1.0
    assert errors["ssim"][1] == np.float32(ssim(np.zeros((1, 3, 2, 2)), made[1:])[0])


def test_bytes_and_16_bits_are_the_same_images(tmp_path: Path) -> None:
    pixels, made = noise(3, 12, 12, 1), noise(3, 12, 12, 1, seed=1)
    rows = [row(), row(), row()]
    one = scorer(tmp_path).measure(rows, pixels, made)
    two = scorer(tmp_path).measure(rows, pixels.astype(np.uint16) * 257, made)
    as_floats = scorer(tmp_path).measure(rows, pixels, (made.transpose(0, 3, 1, 2) / np.float32(255)))
    for name, errors in one.items():
        np.testing.assert_allclose(two[name], errors, rtol=1e-6)
        np.testing.assert_allclose(as_floats[name], errors, rtol=1e-6)


def test_what_lies_beside_a_fitted_image_counts_for_nothing(tmp_path: Path) -> None:
    pixels, made = noise(3, 16, 16, 1), noise(3, 16, 16, 1, seed=1)
    # Two are as wide as the frame, each in rows of its own; the third fills it.
    rows = [
        row(Placement((32, 24), frame=(0, 2, 16, 14))),
        row(Placement((16, 16), frame=(0, 0, 16, 16))),
        row(Placement((4, 8), frame=(4, 0, 12, 16))),
    ]
    errors = scorer(tmp_path).measure(rows, pixels, made)
    x, y = (values[..., 0] / 255 for values in (pixels, made))
    parts = [np.s_[0, 2:14], np.s_[1], np.s_[2, :, 4:12]]
    np.testing.assert_allclose(errors["mse"], [np.square(x[part] - y[part]).mean() for part in parts], rtol=1e-6)
    similar = [ssim(x[part][None, None], y[part][None, None])[0] for part in parts]
    np.testing.assert_allclose(errors["ssim"], similar, rtol=1e-6)


def test_one_difference_is_one_colour_in_all_images(tmp_path: Path) -> None:
    pixels = np.zeros((2, 4, 4, 3), np.uint8)
    made = np.zeros((2, 3, 4, 4), np.float32)
    made[0, :, 0, 0] = 0.25
    made[1, :] = 0.5
    made[1, :, 0, 0] = 0.25
    rows = [row(), row(Placement((8, 6)))]
    scorer(tmp_path, heatmaps=True).measure(rows, pixels, made)
    one, two = (made.image for made in rows)
    assert one is not None
    assert two is not None
    assert (one.shape, two.shape, one.dtype) == ((4, 4, 3), (6, 8, 3), np.uint8)
    assert one[0, 0].tolist() == two[0, 0].tolist() == VIRIDIS[128].tolist()
    assert one[3, 3].tolist() == VIRIDIS[0].tolist()
    assert two[5, 7].tolist() == VIRIDIS[255].tolist()
    assert rows[0].notes == {"aedeploy.heatmap": "viridis, from 0 to a difference of 0.5 of 1"}


def test_the_top_of_the_heat_maps_follows_the_threshold() -> None:
    assert heatmap_top(Scoring()) == heatmap_top(Scoring(threshold=0.0)) == 0.5
    assert heatmap_top(Scoring(threshold=0.0025)) == pytest.approx(0.4)
    assert heatmap_top(Scoring(threshold=0.5)) == 1.0


# What a job writes.


def test_scores_are_written_and_no_images(run: RunJob, tmp_path: Path, bundle: Bundle) -> None:
    images = noise(5, 8, 8, 1)
    write_images(tmp_path / "in/sub", images)
    summary = run("reconstruct", score=True)
    assert (summary.ok, summary.verdict) == (5, None)
    assert files(tmp_path / "out") == ["scores-00000.parquet"]
    table = scores(tmp_path / "out")
    assert table.schema.names == ["path", "mse", "ssim"]
    assert table["path"].to_pylist() == [f"sub/{number:04d}.png" for number in range(5)]
    with Codec(bundle) as codec:
        made = codec.run("autoencoder", images)["reconstruction"]
    x = images.transpose(0, 3, 1, 2) / np.float32(255)
    np.testing.assert_allclose(table["mse"].to_numpy(), np.square(x - made).mean(axis=(1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(table["ssim"].to_numpy(), ssim(x, made), rtol=1e-5)
    said = json.loads(table.schema.metadata[b"aedeploy"])
    assert (said["bundle_digest"], said["measured"], said["threshold"]) == (bundle.manifest.digest, "model", None)


def test_an_image_that_fails_shifts_no_row(run: RunJob, tmp_path: Path) -> None:
    write_images(tmp_path / "in", noise(6, 8, 8, 1))
    (tmp_path / "in/0002.png").write_bytes(b"no image")
    Image.new("L", (8, 8), 255).save(tmp_path / "in/0004.png")
    whole = run("reconstruct", score=True, out="whole")
    assert (whole.ok, whole.failed) == (5, 1)
    bundle = write_tiny_bundle(tmp_path / "broken", broken_at_white=True)
    summary = run("reconstruct", score=True, heatmaps=True, bundle=bundle)
    assert [failure.path for failure in summary.failures] == ["0002.png", "0004.png"]
    table, other = scores(tmp_path / "out"), scores(tmp_path / "whole")
    assert table["path"].to_pylist() == ["0000.png", "0001.png", "0003.png", "0005.png"]
    np.testing.assert_allclose(table["mse"].to_numpy(), other["mse"].to_numpy()[[0, 1, 2, 4]], rtol=1e-5)


def test_without_heat_maps_no_two_images_meet(run: RunJob, tmp_path: Path) -> None:
    write_images(tmp_path / "in", noise(1, 8, 8, 1))
    Image.new("L", (8, 8), 77).save(tmp_path / "in/0000.bmp")
    assert run("reconstruct", score=True).ok == 2
    with pytest.raises(ConfigError, match=r"would both be written to 0000\.png"):
        run("reconstruct", score=True, heatmaps=True, out="maps")


def test_heat_maps_mirror_the_inputs_at_their_own_sizes(run: RunJob, tmp_path: Path) -> None:
    (tmp_path / "in/s").mkdir(parents=True)
    Image.fromarray(noise(1, 20, 30, 3)[0]).save(tmp_path / "in/s/a.jpg")
    Image.new("RGBA", (5, 7), (9, 9, 9, 100)).save(tmp_path / "in/b.png")
    run("reconstruct", score=True, heatmaps=True)
    assert files(tmp_path / "out") == ["b.png", "s/a.png", "scores-00000.parquet"]
    for name, size in (("s/a.png", (30, 20)), ("b.png", (5, 7))):
        with Image.open(tmp_path / "out" / name) as image:
            assert (image.mode, image.size) == ("RGB", size)
    run("reconstruct", score=True, heatmaps=True, size="model", out="small", container="tar")
    assert files(tmp_path / "small") == ["images-00000.tar", "scores-00000.parquet"]


def test_a_resume_goes_on_and_writes_no_row_twice(run: RunJob, tmp_path: Path) -> None:
    write_images(tmp_path / "in", noise(4, 8, 8, 1))
    (tmp_path / "in/0001.png").write_bytes(b"no image")
    assert run("reconstruct", score=True).failed == 1
    write_images(tmp_path / "in", noise(1, 8, 8, 1), start=1)
    write_images(tmp_path / "in", noise(2, 8, 8, 1), start=7)
    summary = run("reconstruct", score=True)
    assert (summary.ok, summary.skipped) == (3, 3)
    names = ["0000.png", "0002.png", "0003.png", "0007.png", "0008.png", "0001.png"]
    assert sorted(scores(tmp_path / "out")["path"].to_pylist()) == sorted(names)
    with pytest.raises(ConfigError, match="begun with other options of --score"):
        run("reconstruct", score=True, heatmaps=True)


def test_starting_again_removes_no_file_that_only_looks_like_an_output(run: RunJob, tmp_path: Path) -> None:
    write_images(tmp_path / "in", noise(2, 8, 8, 1))
    run("reconstruct", score=True)
    write_images(tmp_path / "out", noise(1, 8, 8, 1))
    run("reconstruct", score=True, overwrite=True)
    assert files(tmp_path / "out") == ["0000.png", "scores-00000.parquet"]


def test_only_reconstruct_scores(run: RunJob, tmp_path: Path) -> None:
    write_images(tmp_path / "in", noise(2, 8, 8, 1))
    with pytest.raises(ConfigError, match="--score is an option of reconstruct, not of denoise"):
        run("denoise", score=True, bundle=write_tiny_bundle(tmp_path / "d", denoising=True))


def test_a_model_of_any_size_is_measured_at_each_images_own(
    exported_bundles: dict[str, Bundle], run: RunJob, tmp_path: Path
) -> None:
    bundle = exported_bundles["conv"]
    write_images(tmp_path / "in", noise(1, 30, 44, 1))
    write_images(tmp_path / "in", noise(1, 28, 28, 1), start=1)
    run("reconstruct", score=True, heatmaps=True, bundle=bundle)
    run("reconstruct", bundle=bundle, out="images")
    table = scores(tmp_path / "out")
    assert json.loads(table.schema.metadata[b"aedeploy"])["measured"] == "original"
    for name, mse in zip(table["path"].to_pylist(), table["mse"].to_pylist(), strict=True):
        image, made, heatmap = (pixels(tmp_path / folder / name) for folder in ("in", "images", "out"))
        assert image.shape == made.shape == heatmap.shape[:2]
        assert np.square((image - made) / 255).mean() == pytest.approx(mse, rel=1e-3)  # what is written is rounded


def test_scores_are_no_latents(run: RunJob, tmp_path: Path) -> None:
    write_images(tmp_path / "in", noise(2, 8, 8, 1))
    run("reconstruct", score=True)
    with pytest.raises(ConfigError, match=r"scores-00000\.parquet holds scores, not latents"):
        run("decode", source="out", out="images")


# The threshold.


@pytest.fixture
def plan(bundle: Bundle, tmp_path: Path) -> Callable[..., Plan]:
    """Plan to score ``in`` into ``out``, with ``normal`` as calibration."""

    def plan(**options: Any) -> Plan:
        values = {"bundle": bundle, "score": True, "calibrate": tmp_path / "normal", "quantile": 0.9, **options}
        return plan_job(JobRequest(job="reconstruct", source=tmp_path / "in", output=tmp_path / "out", **values))

    return plan


@pytest.fixture
def folders(tmp_path: Path) -> None:
    """Six images in ``in``, and twenty in ``normal``."""
    write_images(tmp_path / "in", noise(6, 8, 8, 1))
    write_images(tmp_path / "normal/a", noise(20, 8, 8, 1, seed=1))


def calibrated(plan: Plan) -> Calibration:
    assert plan.calibration is not None
    return plan.calibration


def finished(plan: Plan) -> Summary:
    *_, summary = run_job(plan)
    assert isinstance(summary, Summary)
    return summary


@pytest.mark.usefixtures("folders")
def test_the_threshold_is_the_quantile_of_the_calibration_images_errors(
    plan: Callable[..., Plan], run: RunJob, tmp_path: Path
) -> None:
    run("reconstruct", source="normal", out="normal-scores", score=True)
    errors = scores(tmp_path / "normal-scores")["mse"].to_numpy()
    threshold = float(np.float32(np.quantile(errors.astype(np.float64), 0.9)))
    summary = finished(plan())
    assert summary.verdict is not None
    table = scores(tmp_path / "out")
    said = json.loads(table.schema.metadata[b"aedeploy"])
    assert (said["threshold"], said["quantile"]) == (threshold, 0.9)
    assert summary.verdict.threshold == threshold
    above = table["mse"].to_numpy() > threshold
    assert table["anomaly"].to_pylist() == above.tolist()
    assert (summary.verdict.images, summary.verdict.anomalies) == (6, above.sum())
    assert summary.notes == (
        f"The threshold is {threshold:.6g}: the 0.9 quantile of the errors of 20 images in {tmp_path / 'normal'}.",
        f"Of the 6 images with scores, {above.sum()} are above the threshold.",
    )


@pytest.mark.usefixtures("folders")
def test_a_plan_writes_nothing_and_the_job_keeps_what_was_measured(plan: Callable[..., Plan], tmp_path: Path) -> None:
    planned = plan()
    assert not (tmp_path / "out").exists()
    finished(planned)
    kept = json.loads((tmp_path / "out" / CALIBRATION).read_text())
    assert kept["threshold"] == calibrated(planned).threshold
    assert calibrated(plan()) == calibrated(planned)


@pytest.mark.usefixtures("folders")
def test_what_is_kept_is_taken_and_not_measured_again(plan: Callable[..., Plan], tmp_path: Path) -> None:
    finished(plan())
    path = tmp_path / "out" / CALIBRATION
    altered = json.loads(path.read_text()) | {"threshold": 0.125}
    (tmp_path / "other" / CALIBRATION).parent.mkdir(parents=True)
    (tmp_path / "other" / CALIBRATION).write_text(json.dumps(altered))
    path.write_text(json.dumps(altered))
    with pytest.raises(ConfigError, match="begun with other options of --score"):
        plan()
    assert calibrated(plan(overwrite=True)).threshold == 0.125
    path.write_text("{")
    assert calibrated(plan()).threshold != 0.125


@pytest.mark.usefixtures("folders")
def test_whatever_makes_another_threshold_has_it_measured_again(
    plan: Callable[..., Plan], bundle: Bundle, tmp_path: Path
) -> None:
    first = calibrated(plan())
    keys = {first.key}
    keys.add(calibrated(plan(quantile=0.5)).key)
    keys.add(calibrated(plan(resize="crop")).key)
    keys.add(calibrated(plan(bundle=write_tiny_bundle(tmp_path / "two", scale=2.0))).key)
    assert calibrated(plan(heatmaps=True, workers=1)) == first
    write_images(tmp_path / "normal/a", noise(1, 8, 8, 1, seed=9))
    keys.add(calibrated(plan()).key)
    assert len(keys) == 5


@pytest.mark.usefixtures("folders")
def test_several_processes_find_the_same_threshold(plan: Callable[..., Plan], tmp_path: Path) -> None:
    # Planned before any of them runs, as an array of jobs is, and one that comes later.
    planned = [plan(part=(0, 2)), plan(part=(1, 2))]
    for one in planned:
        finished(one)
    before = (tmp_path / "out" / CALIBRATION).stat().st_mtime_ns
    assert finished(plan(part=(1, 2))).ok == 0
    assert (tmp_path / "out" / CALIBRATION).stat().st_mtime_ns == before
    assert len(scores(tmp_path / "out")) == 6


@pytest.mark.usefixtures("folders")
def test_calibration_images_that_fail_are_left_out_and_told(plan: Callable[..., Plan], tmp_path: Path) -> None:
    whole = calibrated(plan())
    (tmp_path / "normal/a/zz.png").write_bytes(b"no image")
    (tmp_path / "normal/notes.txt").write_text("no image by its name")
    found = calibrated(plan())
    assert (found.threshold, found.images, found.failed) == (whole.threshold, 20, 1)
    assert "; 1 were left out, such as a/zz.png: " in found.told


@pytest.mark.usefixtures("folders")
def test_too_few_images_for_the_quantile_are_refused(plan: Callable[..., Plan], tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"--quantile 0\.99 takes 100 images at least, and .*normal has 20: give more"
    ):
        plan(quantile=0.99)
    assert calibrated(plan(quantile=0.95)).images == 20
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="has 0: give more"):
        plan(calibrate=tmp_path / "empty")
    with pytest.raises(ConfigError, match="There is no file or folder"):
        plan(calibrate=tmp_path / "nowhere")


@pytest.mark.usefixtures("folders")
def test_outputs_do_not_go_among_the_calibration_images(plan: Callable[..., Plan], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is in the input folder"):
        plan(calibrate=tmp_path)


# Whether it works.


def auroc(usual: np.ndarray, odd: np.ndarray) -> float:
    """The chance that an odd image's score is above a usual one's; ties count half."""
    above = (odd[:, None] > usual[None]).mean()
    return float(above + (odd[:, None] == usual[None]).mean() / 2)


def odd_images(kind: str, usual: np.ndarray) -> np.ndarray:
    """As many images that are no digits, uint8 [N, 28, 28, 1]."""
    random = np.random.default_rng(7)
    if kind == "inverted":
        return 255 - usual
    if kind == "noise":
        return random.integers(0, 256, usual.shape, dtype=np.uint8)
    # As patches of photographs are: some structure at every scale, the larger the stronger. Neither black nor plain:
    # of such a patch a model of digits makes what it is.
    layers = []
    for level in range(1, 6):
        coarse = random.normal(0, 84 / 2**level, (len(usual), 2**level, 2**level))
        layers.append(np.kron(coarse, np.ones((1, 32 >> level, 32 >> level))))
    return np.clip(128 + sum(layers)[:, :28, :28, None], 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def digits_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A small model that was trained on the embedded digits until it knows them, somewhat."""
    from aedeploy.export import export_bundle
    from aedeploy.recipes import load_recipe
    from aedeploy.training.config import TrainConfig
    from aedeploy.training.data.source import DataRequest
    from aedeploy.training.events import Ended
    from aedeploy.training.run import train

    *_, ended = train(
        TrainConfig(
            recipe=load_recipe("mlp-32", ["training.epochs=6"]),
            data=DataRequest(data="digits"),
            out=tmp_path_factory.mktemp("digits") / "bundle",
            seed=0,
            device="cpu",
        )
    )
    assert isinstance(ended, Ended)
    return export_bundle(ended.bundle, ["onnx"]).bundle


@pytest.mark.parametrize("kind", ["inverted", "noise", "textures"])
def test_a_trained_model_tells_what_is_no_digit(digits_bundle: Bundle, run: RunJob, tmp_path: Path, kind: str) -> None:
    # Mixed: as they come, the first half were written by other people than the second.
    held_out = np.random.default_rng(0).permutation(digits().held_out)
    normal, usual = held_out[:500], held_out[500:]
    write_images(tmp_path / "normal", normal)
    write_images(tmp_path / "usual", usual)
    write_images(tmp_path / "odd", odd_images(kind, usual[:200]))
    options = {"score": True, "calibrate": tmp_path / "normal", "bundle": digits_bundle}
    found = run("reconstruct", source="usual", out="usual-scores", **options).verdict
    flagged = run("reconstruct", source="odd", out="odd-scores", **options).verdict
    assert found is not None
    assert flagged is not None
    # One in a hundred, give or take three standard deviations of such samples of 500.
    assert found.anomalies / found.images <= 0.03
    assert flagged.anomalies / flagged.images >= 0.95
    low, high = (scores(tmp_path / f"{name}-scores")["mse"].to_numpy() for name in ("usual", "odd"))
    assert auroc(low, high) >= 0.95
