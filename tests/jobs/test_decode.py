from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tiny_bundle import write_tiny_bundle

from aedeploy.errors import ConfigError, NothingToDoError
from aedeploy.jobs.run import Summary

RunJob = Callable[..., Summary]
MakeImages = Callable[..., Path]

NAMES = ("a/1.png", "a/2.png", "b/ü ö.png", "c.png")


@pytest.fixture
def latents(run: RunJob, make_images: MakeImages, tmp_path: Path) -> Path:
    make_images(*NAMES)
    run("encode", out="latents")
    return tmp_path / "latents/part-00000.parquet"


def rewrite(part: Path, /, **columns: pa.Array) -> None:
    """Replace columns of a part, its metadata kept."""
    table = pq.read_table(part)
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, values)
    pq.write_table(table, part)


def damage(part: Path, column: str) -> None:
    """Alter one bit of a column's data."""
    metadata = pq.ParquetFile(part).metadata.row_group(0)
    columns = [metadata.column(number) for number in range(metadata.num_columns)]
    (found,) = (one for one in columns if one.path_in_schema.partition(".")[0] == column)
    content = bytearray(part.read_bytes())
    content[(found.dictionary_page_offset or found.data_page_offset) + found.total_compressed_size - 1] ^= 1
    part.write_bytes(content)


@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors"])
def test_the_tree_of_images_comes_back(run: RunJob, make_images: MakeImages, tmp_path: Path, format: str) -> None:
    root = make_images(*NAMES)
    run("encode", out="latents", latent_format=format)
    summary = run("decode", source="latents")
    assert (summary.inputs, summary.ok, summary.failed) == (4, 4, 0)
    for name in NAMES:
        with Image.open(root / name) as before, Image.open(tmp_path / "out" / name) as after:
            assert np.abs(np.asarray(before).astype(int) - np.asarray(after)).max() <= 1


def test_names_may_keep_the_suffix_they_came_with(run: RunJob, latents: Path, tmp_path: Path) -> None:
    run("decode", source="latents", names="full")
    assert (tmp_path / "out/a/1.png.png").is_file()


def test_one_file_is_an_input_too(run: RunJob, latents: Path) -> None:
    assert run("decode", source="latents/part-00000.parquet").ok == 4


def test_a_npy_file_is_found_with_its_index(run: RunJob, make_images: MakeImages) -> None:
    make_images(*NAMES)
    run("encode", out="latents", latent_format="npy")
    assert run("decode", source="latents/latent-00000.npy").ok == 4


def test_what_is_done_is_skipped_and_what_is_gone_is_made_again(run: RunJob, latents: Path, tmp_path: Path) -> None:
    run("decode", source="latents")
    assert run("decode", source="latents").skipped == 4
    (tmp_path / "out/a/2.png").unlink()
    summary = run("decode", source="latents")
    assert (summary.ok, summary.skipped) == (1, 3)
    assert (tmp_path / "out/a/2.png").is_file()


def test_latents_of_another_bundle_are_refused(run: RunJob, latents: Path, tmp_path: Path) -> None:
    another = write_tiny_bundle(tmp_path / "another", scale=2.0)
    with pytest.raises(ConfigError, match=r"was encoded by another bundle \(tiny, .*name its own with --bundle"):
        run("decode", source="latents", bundle=another)
    assert not (tmp_path / "out").exists()


def test_latents_that_say_nothing_of_their_bundle_are_refused(run: RunJob, latents: Path) -> None:
    pq.write_table(pq.read_table(latents).replace_schema_metadata(None), latents)
    with pytest.raises(ConfigError, match="does not say which bundle made it"):
        run("decode", source="latents/part-00000.parquet")


def test_latents_of_the_wrong_width_are_refused(run: RunJob, latents: Path) -> None:
    rewrite(latents, latent=pa.array(np.zeros((4, 15), np.float32).tolist(), pa.list_(pa.float32(), 15)))
    with pytest.raises(ConfigError, match="not of 16 float32 or float16 each"):
        run("decode", source="latents/part-00000.parquet")


def test_a_contract_of_another_shape_than_the_bundles_is_refused(run: RunJob, latents: Path) -> None:
    table = pq.read_table(latents)
    contract = json.loads(table.schema.metadata[b"aedeploy"])
    contract["shapes"] = {"latent": [4, 4]}
    pq.write_table(table.replace_schema_metadata({b"aedeploy": json.dumps(contract)}), latents)
    with pytest.raises(ConfigError, match=r"of shape \[4, 4\], and tiny decodes \[16\]"):
        run("decode", source="latents/part-00000.parquet")


def test_rows_with_nan_infinity_or_nothing_fail_by_their_path(run: RunJob, latents: Path, tmp_path: Path) -> None:
    order = pq.read_table(latents)["path"].to_pylist()
    values = pq.read_table(latents)["latent"].to_pylist()
    values[0][3], values[1][0], values[2] = float("nan"), float("-inf"), None
    rewrite(latents, latent=pa.array(values, pa.list_(pa.float32(), 16)))
    summary = run("decode", source="latents")
    assert (summary.ok, summary.failed) == (1, 3)
    assert {failure.reason for failure in summary.failures} == {"its latent has NaN or infinity"}
    assert {failure.path for failure in summary.failures} == set(order[:3])
    assert [path.name for path in (tmp_path / "out").rglob("*.png")] == [Path(order[3]).name]


@pytest.mark.parametrize("path", ["../escaped.png", "/tmp/escaped.png", "a/../../escaped.png", ""])
def test_a_path_that_leads_out_of_the_output_is_refused(run: RunJob, latents: Path, tmp_path: Path, path: str) -> None:
    rewrite(latents, path=pa.array(["a.png", path, "b.png", "c.png"]))
    with pytest.raises(ConfigError, match="leads out of the output folder"):
        run("decode", source="latents")
    assert not (tmp_path / "out").exists()


def test_two_rows_of_one_path_are_refused(run: RunJob, latents: Path) -> None:
    rewrite(latents, path=pa.array(["a.png", "b.png", "a.png", "c.png"]))
    with pytest.raises(ConfigError, match=r"a\.png and a\.png would both be written to a\.png"):
        run("decode", source="latents")


def test_a_part_that_cannot_be_read_fails_and_the_others_do_not(run: RunJob, latents: Path) -> None:
    (latents.parent / "part-00001.parquet").write_bytes(b"PAR1 but not really")
    summary = run("decode", source="latents")
    assert (summary.inputs, summary.ok, summary.failed) == (5, 4, 1)
    assert summary.failures[0].path == "part-00001.parquet"
    assert "cannot be read as latents" in summary.failures[0].reason


@pytest.mark.parametrize("column", ["path", "latent"])
def test_a_part_with_damaged_data_fails_once_and_the_others_do_not(
    run: RunJob, make_images: MakeImages, latents: Path, tmp_path: Path, column: str
) -> None:
    make_images("z.png", folder="more")
    run("encode", source="more", out="others")
    (tmp_path / "others/part-00000.parquet").rename(latents.with_name("part-00001.parquet"))
    damage(latents, column)
    summary = run("decode", source="latents")
    assert (summary.inputs, summary.ok, summary.failed) == (2, 1, 1)
    (failure,) = summary.failures
    assert failure.path == "part-00000.parquet"
    assert "cannot be read as latents" in failure.reason
    assert "\n" not in failure.reason
    assert [path.name for path in (tmp_path / "out").rglob("*.png")] == ["z.png"]


@pytest.mark.parametrize("source", ["latents", "latents/part-00000.parquet"])
def test_when_nothing_can_be_read_it_is_refused(run: RunJob, latents: Path, tmp_path: Path, source: str) -> None:
    damage(latents, "latent")
    with pytest.raises(ConfigError, match=r"part-00000\.parquet cannot be read as latents") as told:
        run("decode", source=source)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("path", "shown"), [("b\udcff.png", "b\\xff.png"), ("b\ud800.png", "b\\ud800.png")])
def test_a_path_that_is_not_utf_8_fails_alone(
    run: RunJob, make_images: MakeImages, tmp_path: Path, path: str, shown: str
) -> None:
    make_images("a.png", "b.png")
    run("encode", out="latents", latent_format="npy")
    index = tmp_path / "latents/latent-00000.json"
    # In ASCII, JSON can spell what UTF-8 cannot.
    content = json.loads(index.read_text()) | {"paths": ["a.png", path]}
    # As an earlier release wrote it, without checksums.
    content["contract"] = {
        key: content["contract"][key] for key in content["contract"] if key not in ("dtype", "reading")
    }
    content["contract"]["version"] = 1
    content.pop("sha256", None)
    index.write_text(json.dumps(content))
    summary = run("decode", source="latents")
    assert (summary.inputs, summary.ok) == (2, 1)
    assert [(failure.path, failure.reason) for failure in summary.failures] == [
        (shown, "its name is not valid UTF-8: rename it")
    ]


def test_a_latents_file_whose_name_is_not_utf_8_can_be_told(run: RunJob, latents: Path) -> None:
    try:
        latents.with_name(os.fsdecode(b"x\xff.parquet")).write_bytes(b"no latents")
    except OSError:
        pytest.skip("this file system takes no such name")
    summary = run("decode", source="latents")
    assert (summary.ok, [failure.path for failure in summary.failures]) == (4, ["x\\xff.parquet"])
    json.dumps(summary.as_dict(), ensure_ascii=False).encode()


def test_a_folder_without_latents_is_told(run: RunJob, tmp_path: Path) -> None:
    (tmp_path / "latents").mkdir()
    with pytest.raises(NothingToDoError, match="There are no latents in"):
        run("decode", source="latents")
    with pytest.raises(ConfigError, match="There is no file or folder"):
        run("decode", source="missing")
