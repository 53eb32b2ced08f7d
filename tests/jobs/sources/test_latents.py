from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle
from aedeploy.errors import ConfigError, NothingToDoError
from aedeploy.jobs.latents import LatentsContract, write_latents
from aedeploy.jobs.sources import Group, Selection, _gathering, latents

FORMATS = ("parquet", "npy", "safetensors", "tar")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "tiny")


def write(bundle: Bundle, folder: Path, number: int, paths: list[str], format: Any = "parquet", **other: Any) -> Path:
    width = other.pop("width", 16)
    contract = LatentsContract(
        **{
            "bundle": bundle.name,
            "bundle_digest": bundle.manifest.digest,
            "graph_format": "onnx",
            "shapes": {"latent": [width]},
            **other,
        }
    )
    folder.mkdir(exist_ok=True)
    outputs = {"latent": np.zeros((len(paths), width), np.float32)}
    return write_latents(folder, number, format, contract, paths, outputs)


def groups_of(place: Path, bundle: Bundle, **selection: Any) -> list[Group]:
    return list(latents.listing(latents.find(str(place)), Selection(**selection), bundle))


def rows_of(groups: list[Group]) -> list[tuple[str, str, int]]:
    return [(Path(source.file).name, source.path, source.row) for group in groups for source in group.sources]


@pytest.mark.parametrize("format", FORMATS)
def test_rows_are_listed_file_by_file(tmp_path: Path, bundle: Bundle, format: str) -> None:
    names = [
        write(bundle, tmp_path / "latents", number, paths, format).name
        for number, paths in enumerate([["a.png", "b/é\n.png"], ["c.png"]])
    ]
    groups = groups_of(tmp_path / "latents", bundle)
    assert rows_of(groups) == [(names[0], "a.png", 0), (names[0], "b/é\n.png", 1), (names[1], "c.png", 0)]
    assert rows_of(groups_of(tmp_path / "latents" / names[1], bundle)) == [(names[1], "c.png", 0)]


def test_a_large_file_comes_in_groups(tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gathering, "GROUP_FILES", 4)
    write(bundle, tmp_path / "latents", 0, [f"{number}.png" for number in range(10)])
    assert [len(group.sources) for group in groups_of(tmp_path / "latents", bundle)] == [4, 4, 2]


def test_the_selection_holds_for_rows(tmp_path: Path, bundle: Bundle) -> None:
    write(bundle, tmp_path / "latents", 0, ["a/x.png", "b/y.png", "a/z.dat"])
    groups = groups_of(tmp_path / "latents", bundle, include=("a/*",))
    assert [(row, path) for _, path, row in rows_of(groups)] == [(0, "a/x.png"), (2, "a/z.dat")]
    assert [other for group in groups for other in group.others] == ["b/y.png"]


def test_a_damaged_file_fails_unless_it_is_the_only_one(tmp_path: Path, bundle: Bundle) -> None:
    folder = tmp_path / "latents"
    broken = write(bundle, folder, 0, ["a.png"])
    broken.write_bytes(broken.read_bytes()[:-20])
    with pytest.raises(ConfigError, match="cannot be read as latents"):
        groups_of(folder, bundle)
    write(bundle, folder, 1, ["b.png"])
    groups = groups_of(folder, bundle)
    assert [path for _, path, _ in rows_of(groups)] == ["b.png"]
    assert [failure.path for group in groups for failure in group.failures] == [broken.name]
    for file in folder.iterdir():
        file.write_bytes(b"nothing")
    with pytest.raises(ConfigError, match=r"Nothing in .* can be decoded"):
        groups_of(folder, bundle)


def test_latents_of_another_bundle_or_shape_are_refused(tmp_path: Path, bundle: Bundle) -> None:
    write(bundle, tmp_path / "other", 0, ["a.png"], bundle_digest="0" * 64)
    with pytest.raises(ConfigError, match="another bundle"):
        groups_of(tmp_path / "other", bundle)
    write(bundle, tmp_path / "wide", 0, ["a.png"], width=17)
    with pytest.raises(ConfigError, match=r"shape \[17\]"):
        groups_of(tmp_path / "wide", bundle)


@pytest.mark.parametrize("path", ["../a.png", "/etc/a.png", "", "a\0b.png"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, bundle: Bundle, path: str) -> None:
    write(bundle, tmp_path / "latents", 0, ["a.png", path], "safetensors")
    with pytest.raises(ConfigError, match="row 1 leads out"):
        groups_of(tmp_path / "latents", bundle)


def test_nothing_there_is_told(tmp_path: Path, bundle: Bundle) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingToDoError, match="no latents"):
        groups_of(tmp_path / "empty", bundle)
    with pytest.raises(ConfigError, match="There is no file or folder"):
        groups_of(tmp_path / "none", bundle)


def test_the_stamp_is_another_where_the_array_is(tmp_path: Path, bundle: Bundle) -> None:
    import os

    index = write(bundle, tmp_path / "latents", 0, ["a.png"], "npy")
    before = groups_of(index, bundle)[0].sources[0].stamp
    os.utime(index.with_suffix(".npy"), ns=(0, before + 10**9))
    assert groups_of(index, bundle)[0].sources[0].stamp != before
