from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle
from aedeploy.errors import ConfigError, JobError, NothingToDoError
from aedeploy.jobs.latents import open_latents
from aedeploy.jobs.ledger import LEDGER_FILE, LedgerWriter
from aedeploy.jobs.plan import plan_job
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.run import Summary, run_job
from aedeploy.jobs.shard import run_shard
from aedeploy.runtime.codec import load

RunJob = Callable[..., Summary]
MakeImages = Callable[..., Path]


def rows(folder: Path) -> dict[str, list[float]]:
    """All rows of all parts, by path, each path once."""
    found: dict[str, list[float]] = {}
    for part in sorted(folder.glob("*.parquet")):
        for row in pq.read_table(part).to_pylist():
            assert row["path"] not in found
            found[row["path"]] = row["latent"]
    return found


def test_every_image_has_a_row_of_its_own_latent(
    run: RunJob, make_images: MakeImages, bundle: Bundle, tmp_path: Path
) -> None:
    names = [f"{letter}/{number}.png" for letter in "cab" for number in range(30)]
    root = make_images(*names)
    summary = run("encode")
    assert (summary.inputs, summary.ok, summary.skipped, summary.failed) == (90, 90, 0, 0)
    found = rows(tmp_path / "out")
    assert list(found) == sorted(names)
    expected = load(bundle).encode([root / name for name in found])
    assert np.abs(np.array(list(found.values())) - expected).max() < 1e-5


def test_the_file_says_what_it_is(run: RunJob, make_images: MakeImages, tmp_path: Path) -> None:
    gaussian = write_tiny_bundle(tmp_path / "gaussian", gaussian=True)
    make_images("a.png", "b.png")
    run("encode", bundle=gaussian)
    schema = pq.read_schema(tmp_path / "out/part-00000.parquet")
    assert schema.names == ["path", "latent", "logvar"]
    assert schema.field("path").type == pa.string()
    assert schema.field("latent").type == pa.list_(pa.float32(), 16)
    assert schema.field("logvar").type == pa.list_(pa.float32(), 16)
    assert json.loads(schema.metadata[b"aedeploy"]) == {
        "version": 2,
        "dtype": "float32",
        "reading": {"decode": "full", "resize": "exact"},
        "bundle": "gaussian",
        "bundle_digest": gaussian.manifest.digest,
        "graph_format": "onnx",
        "shapes": {"latent": [16], "logvar": [16]},
    }


@pytest.mark.parametrize("format", ["npy", "safetensors"])
def test_the_other_formats_hold_the_same(run: RunJob, make_images: MakeImages, tmp_path: Path, format: str) -> None:
    make_images("a.png", "ä/b c.png")
    run("encode", out="parquet")
    run("encode", out=format, latent_format=format)
    (name,) = {"npy": ["latent-00000.json"], "safetensors": ["latents-00000.safetensors"]}[format]
    other, parquet = open_latents(tmp_path / format / name), open_latents(tmp_path / "parquet/part-00000.parquet")
    assert other.paths() == parquet.paths() == ["a.png", "ä/b c.png"]
    assert other.contract == parquet.contract
    assert (other.latents(0, 2) == parquet.latents(0, 2)).all()


def test_a_broken_file_shifts_no_row_and_stops_nothing(
    run: RunJob, make_images: MakeImages, bundle: Bundle, tmp_path: Path
) -> None:
    names = [f"{number:02d}.png" for number in range(40)]
    root = make_images(*names)
    for broken in ("00.png", "17.png", "39.png"):
        (root / broken).write_bytes(b"no image")
    (root / "18.png").unlink()
    (root / "18.png").symlink_to(root / "nowhere")
    summary = run("encode")
    assert (summary.ok, summary.failed) == (36, 4)
    assert sorted(failure.path for failure in summary.failures) == ["00.png", "17.png", "18.png", "39.png"]
    reasons = {failure.path: failure.reason for failure in summary.failures}
    assert reasons["17.png"].startswith("it is not an image")
    assert reasons["18.png"] == "it cannot be read: No such file or directory"
    found = rows(tmp_path / "out")
    expected = load(bundle).encode([root / name for name in found])
    assert np.abs(np.array(list(found.values())) - expected).max() < 1e-5


def test_an_image_for_which_the_model_gives_nan_fails_by_its_name(
    run: RunJob, make_images: MakeImages, tmp_path: Path
) -> None:
    root = make_images("a.png", "b.png", "c.png")
    Image.new("L", (8, 8), 255).save(root / "b.png")
    summary = run("encode", bundle=write_tiny_bundle(tmp_path / "broken", broken_at_white=True, gaussian=True))
    assert [(failure.path, failure.reason) for failure in summary.failures] == [
        ("b.png", "the encoder gave NaN or infinity in 'latent'")
    ]
    assert list(rows(tmp_path / "out")) == ["a.png", "c.png"]


def test_when_all_are_broken_all_fail_and_no_file_is_written(run: RunJob, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.jpg"):
        (tmp_path / "in" / name).write_bytes(b"no image")
    summary = run("encode")
    assert (summary.ok, summary.failed) == (0, 2)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".aedeploy"]


def test_the_same_again_does_nothing(run: RunJob, make_images: MakeImages, tmp_path: Path) -> None:
    make_images("a.png", "b.png")
    run("encode")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    summary = run("encode")
    assert (summary.inputs, summary.ok, summary.skipped, summary.failed) == (2, 0, 2, 0)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_what_failed_is_tried_again_and_what_is_new_is_added(
    run: RunJob, make_images: MakeImages, tmp_path: Path
) -> None:
    root = make_images("a.png", "b.png")
    (root / "b.png").write_bytes(b"no image")
    assert run("encode").failed == 1
    assert run("encode").failed == 1
    make_images("b.png", "c.png")
    summary = run("encode")
    assert (summary.ok, summary.skipped, summary.failed) == (2, 1, 0)
    assert sorted(rows(tmp_path / "out")) == ["a.png", "b.png", "c.png"]


def test_an_input_that_changed_is_refused_until_told_to_start_again(
    run: RunJob, make_images: MakeImages, tmp_path: Path
) -> None:
    make_images("a.png", "b.png")
    run("encode")
    root = make_images("z.png")
    Image.new("L", (8, 8), 200).save(root / "b.png")
    with pytest.raises(ConfigError, match=r"1 of the inputs .* changed since, such as b\.png: pass --overwrite"):
        run("encode")
    summary = run("encode", overwrite=True)
    assert (summary.ok, summary.skipped) == (3, 0)
    assert sorted(rows(tmp_path / "out")) == ["a.png", "b.png", "z.png"]


def test_another_time_alone_is_no_other_content(run: RunJob, make_images: MakeImages) -> None:
    root = make_images("a.png", "b.png")
    run("encode")
    os.utime(root / "b.png", (1, 1))
    assert run("encode").skipped == 2
    # Of the same size and another content.
    content = (root / "b.png").read_bytes()
    (root / "b.png").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ConfigError, match=r"such as b\.png"):
        run("encode")


def test_another_bundle_or_setting_is_refused_until_told_to_start_again(
    run: RunJob, make_images: MakeImages, tmp_path: Path
) -> None:
    make_images("a.png")
    run("encode")
    another = write_tiny_bundle(tmp_path / "another", scale=2.0)
    with pytest.raises(ConfigError, match="begun with another bundle"):
        run("encode", bundle=another)
    with pytest.raises(ConfigError, match=r"begun with another --format \(parquet, now npy\): pass --overwrite"):
        run("encode", latent_format="npy")
    with pytest.raises(ConfigError, match="begun with a job of another kind"):
        run("reconstruct")
    run("encode", overwrite=True, latent_format="npy")
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_file()) == [
        "latent-00000.json",
        "latent-00000.npy",
    ]


def test_workers_and_batches_may_change_between_runs(run: RunJob, make_images: MakeImages) -> None:
    make_images("a.png", "b.png")
    run("encode", workers=1, batch_size=1)
    assert run("encode", workers=3, batch_size=2).skipped == 2


@pytest.mark.parametrize("damage", ["removed", "truncated"])
@pytest.mark.parametrize(
    ("format", "name"),
    [
        ("parquet", "part-00000.parquet"),
        ("safetensors", "latents-00000.safetensors"),
        ("npy", "latent-00000.json"),
        ("npy", "latent-00000.npy"),
        ("npy", "logvar-00000.npy"),
    ],
)
def test_a_part_that_is_gone_or_truncated_is_made_again(
    run: RunJob, make_images: MakeImages, tmp_path: Path, format: str, name: str, damage: str
) -> None:
    gaussian = write_tiny_bundle(tmp_path / "gaussian", gaussian=True)
    make_images("a.png", "b.png")
    run("encode", latent_format=format, bundle=gaussian)
    part = tmp_path / "out" / name
    whole = part.read_bytes()
    part.unlink()
    if damage == "truncated":
        part.write_bytes(whole[:100])
    assert run("encode", latent_format=format, bundle=gaussian).ok == 2
    # Under another number: the ledger is only appended to.
    again = tmp_path / "out" / name.replace("00000", "00001")
    assert again.stat().st_size == len(whole)
    assert not part.exists()
    before = (tmp_path / "out" / LEDGER_FILE).stat().st_mtime_ns
    assert run("encode", latent_format=format, bundle=gaussian).skipped == 2
    assert (tmp_path / "out" / LEDGER_FILE).stat().st_mtime_ns == before


def test_one_image_is_an_input_too(run: RunJob, make_images: MakeImages, tmp_path: Path) -> None:
    make_images("a.png", "b.png")
    assert run("encode", source="in/b.png").inputs == 1
    assert list(rows(tmp_path / "out")) == ["b.png"]


def test_files_that_are_no_images_are_counted_as_skipped(run: RunJob, make_images: MakeImages) -> None:
    root = make_images("a.png")
    (root / "notes.txt").touch()
    summary = run("encode")
    assert (summary.inputs, summary.ok, summary.skipped, summary.failed) == (2, 1, 1, 0)


def test_a_name_that_is_not_utf_8_fails_and_can_be_printed(
    run: RunJob, make_images: MakeImages, tmp_path: Path
) -> None:
    root = make_images("a.png")
    odd = bytes(root) + b"/b\xff.png"
    try:
        Path(odd.decode("utf-8", "surrogateescape")).write_bytes((root / "a.png").read_bytes())
    except OSError:
        pytest.skip("this file system takes no such name")
    summary = run("encode")
    assert [(failure.path, failure.reason) for failure in summary.failures] == [
        ("b\\xff.png", "its name is not valid UTF-8: rename it")
    ]
    json.dumps(summary.as_dict(), ensure_ascii=False).encode()
    assert list(rows(tmp_path / "out")) == ["a.png"]


def test_an_empty_or_missing_folder_is_told(run: RunJob, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no file or folder"):
        run("encode")
    (tmp_path / "in").mkdir()
    with pytest.raises(NothingToDoError, match="it is empty"):
        run("encode")
    assert not (tmp_path / "out").exists()


def test_beside_outputs_that_no_ledger_knows_any_more_nothing_is_started_again(
    run: RunJob, make_images: MakeImages, tmp_path: Path
) -> None:
    make_images("a.png")
    run("encode")
    (tmp_path / "out/.aedeploy/ledger.jsonl").write_text("not json\n")
    # With --overwrite, every row would be there twice: nobody may remove what could be somebody else's.
    for overwrite in (False, True):
        with pytest.raises(JobError, match="is damaged"):
            run("encode", overwrite=overwrite)
    assert list(rows(tmp_path / "out")) == ["a.png"]


def test_an_output_folder_that_cannot_be_made_is_one_sentence(
    run: RunJob, make_images: MakeImages, tmp_path: Path
) -> None:
    make_images("a.png")
    (tmp_path / "file").touch()
    with pytest.raises(JobError, match=r"Writing to .*file/out failed: Not a directory\. What was finished is kept"):
        run("encode", out="file/out")


def test_a_part_of_a_killed_run_does_not_stay(
    run: RunJob, make_images: MakeImages, bundle: Bundle, tmp_path: Path
) -> None:
    root = make_images("a.png", "b.png")
    plan = plan_job(JobRequest(job="encode", bundle=bundle, source=root, output=tmp_path / "out"))
    # Killed after its part was written, and before the ledger knew: all that such a run leaves.
    with LedgerWriter(tmp_path / "out") as ledger:
        ledger.begin(plan.settings.fingerprint(), plan.request.recorded())
        assert plan.settings.scratch is not None
        Path(plan.settings.scratch).mkdir()
        (shard,) = plan.cutter.shards(ledger.begun)
    run_shard(shard)
    (root / "a.png").unlink()
    (root / "b.png").write_bytes(b"no image")
    assert run("encode").failed == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".aedeploy"]


OF_SOMEBODY_ELSE = ("labels-00001.json", "part-00001.parquet", "part-00009.parquet", "logvar-00001.npy", "notes.txt")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("job", ["encode", "reconstruct"])
def test_files_of_somebody_else_stay_as_they_are(
    run: RunJob, make_images: MakeImages, tmp_path: Path, job: str, overwrite: bool
) -> None:
    make_images("a.png", "b.png")
    run(job)
    for name in OF_SOMEBODY_ELSE:
        (tmp_path / "out" / name).write_text("mine")
    make_images("a.png", "b.png", "c.png", folder="more")
    (tmp_path / "more/c.png").rename(tmp_path / "in/c.png")
    assert run(job, overwrite=overwrite).ok == (3 if overwrite else 1)
    assert {(tmp_path / "out" / name).read_text() for name in OF_SOMEBODY_ELSE} == {"mine"}
    if job == "encode" and not overwrite:
        # The number of somebody's file is left out.
        assert pq.read_table(tmp_path / "out/part-00002.parquet")["path"].to_pylist() == ["c.png"]


def test_another_job_in_the_same_folder_takes_nobodys_file_for_its_own(
    run: RunJob, make_images: MakeImages, tmp_path: Path
) -> None:
    make_images("a.png")
    run("reconstruct")
    # Its shard had this number too, and wrote no such file.
    (tmp_path / "out/part-00000.parquet").write_text("mine")
    assert run("encode", overwrite=True).ok == 1
    assert (tmp_path / "out/part-00000.parquet").read_text() == "mine"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        ".aedeploy",
        "part-00000.parquet",
        "part-00001.parquet",
    ]


def test_a_disk_that_is_full_when_a_shard_is_noted_is_no_fault_of_the_inputs(
    run: RunJob, make_images: MakeImages, tmp_path: Path
) -> None:
    make_images("a.png")
    run("encode", out="one")
    header = (tmp_path / "one" / LEDGER_FILE).read_bytes().index(b"\n") + 1  # the same but for digits of the time
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (header + 5, limit[1]))
    try:
        with pytest.raises(JobError, match=r"Writing to .*/out failed: File too large\. What was finished is kept"):
            run("encode")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert run("encode").ok == 1


@pytest.mark.parametrize("limit", [{"on_error": "fail"}, {"max_failures": "5%"}, {"max_failures": "0"}])
def test_failures_that_the_listing_finds_count_too(
    run: RunJob, make_images: MakeImages, tmp_path: Path, limit: dict[str, str]
) -> None:
    (make_images("a.png") / "b.png").symlink_to("gone")
    run("encode")
    # Nothing is left to do by now but what cannot be.
    with pytest.raises(JobError, match=r"1 of 2 inputs failed, more than --.* allows, such as b\.png"):
        run("encode", **limit)


def test_a_plan_that_another_job_overtook_is_refused(make_images: MakeImages, bundle: Bundle, tmp_path: Path) -> None:
    root, another = make_images("a.png"), write_tiny_bundle(tmp_path / "another", scale=2.0)
    first, second = (
        plan_job(JobRequest(job="encode", bundle=one, source=root, output=tmp_path / "out"))
        for one in (bundle, another)
    )
    *_, summary = run_job(first)
    assert isinstance(summary, Summary)
    before = (tmp_path / "out/part-00000.parquet").read_bytes()
    with pytest.raises(JobError, match=r"Another job wrote to .*out meanwhile: run this again"):
        list(run_job(second))
    assert (tmp_path / "out/part-00000.parquet").read_bytes() == before


def test_a_link_to_itself_fails_with_its_reason(run: RunJob, make_images: MakeImages) -> None:
    root = make_images("a.png")
    (root / "loop").symlink_to("loop")
    (root / "loop.png").symlink_to("loop.png")
    summary = run("encode")
    assert (summary.inputs, summary.ok, summary.skipped, summary.failed) == (3, 1, 1, 1)
    assert [(failure.path, failure.reason) for failure in summary.failures] == [
        ("loop.png", "it cannot be read: Too many levels of symbolic links")
    ]
