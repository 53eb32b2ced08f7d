"""Jobs that are killed, interrupted, or run out of space: nothing is lost, and nothing is left half done."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from faulty_command import command
from PIL import Image

from aedeploy.bundle import Bundle
from aedeploy.files import PARTIAL_SUFFIX
from aedeploy.jobs.known import Known
from aedeploy.jobs.ledger import OWN_FOLDER, read_ledgers


def tree(folder: Path) -> dict[str, bytes]:
    """Every file but the ledger, by its path."""
    found = (path for path in folder.rglob("*") if path.is_file() and OWN_FOLDER not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.fixture
def many(tmp_path: Path) -> Callable[[int], Path]:
    """Write that many images, in no time: they are links to a few."""

    def write(count: int) -> Path:
        root = tmp_path / "in"
        root.mkdir()
        for number in range(20):
            pixels = np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        for number in range(count):
            os.link(tmp_path / f"{number % 20}.png", root / f"{number:05d}.png")
        return root

    return write


@pytest.mark.parametrize(("job", "images", "instants"), [("encode", 4500, (1, 17, 33)), ("reconstruct", 600, (20, 37))])
def test_killed_and_resumed_it_ends_with_the_bytes_of_an_uninterrupted_run(
    many: Callable[[int], Path], bundle: Bundle, tmp_path: Path, job: str, images: int, instants: tuple[int, ...]
) -> None:
    root = many(images)
    arguments = [job, str(root), "--bundle", str(bundle.path), "--quiet"]
    assert command("none", 0, *arguments, "--out", str(tmp_path / "whole")).returncode == 0
    for at in instants:
        out = tmp_path / f"killed-{at}"
        assert command("SIGKILL", at, *arguments, "--out", str(out)).returncode == -9
        done = len(Known(read_ledgers(out)))
        assert done < images
        resumed = command("none", 0, *arguments, "--out", str(out), "--json")
        assert resumed.returncode == 0
        assert f'"skipped": {done},' in resumed.stdout
        assert tree(out) == tree(tmp_path / "whole")


@pytest.mark.parametrize(("job", "images"), [("encode", 2500), ("reconstruct", 600)])
def test_interrupted_it_commits_what_was_begun_and_says_how_to_go_on(
    many: Callable[[int], Path], bundle: Bundle, tmp_path: Path, job: str, images: int
) -> None:
    out = tmp_path / "out"
    words = [job, str(many(images)), "--out", str(out), "--bundle", str(bundle.path), "--workers", "1"]
    stopped = command("SIGINT", 5, *words, "--overwrite", "--json")
    assert stopped.returncode == 130
    done = len(Known(read_ledgers(out)))
    assert 0 < done < images
    assert f'"ok": {done},' in stopped.stdout
    assert not [name for name in tree(out) if name.endswith(PARTIAL_SUFFIX)]
    # The command that it prints does the rest, and does not start again.
    line = next(line.strip() for line in stopped.stderr.splitlines() if line.strip().startswith("aedeploy "))
    assert line.split() == ["aedeploy", *words]
    resumed = command("none", 0, *words, "--json")
    assert resumed.returncode == 0
    assert f'"ok": {images - done}, "skipped": {done}, "failed": 0' in resumed.stdout


@pytest.mark.parametrize(("job", "images"), [("encode", 4500), ("reconstruct", 600)])
def test_on_a_full_disk_it_fails_with_one_sentence_and_goes_on_later(
    many: Callable[[int], Path], bundle: Bundle, tmp_path: Path, job: str, images: int
) -> None:
    out = tmp_path / "out"
    words = [job, str(many(images)), "--out", str(out), "--bundle", str(bundle.path)]
    full = command("full", 30, *words)
    assert full.returncode == 1
    errors = [line for line in full.stderr.splitlines() if line.startswith("Error:")]
    assert len(errors) == 1
    assert "File too large. What was finished is kept" in errors[0]
    assert "Traceback" not in full.stderr
    assert not [name for name in tree(out) if name.endswith(PARTIAL_SUFFIX)]
    resumed = command("none", 0, *words, "--quiet")
    assert resumed.returncode == 0
    assert command("none", 0, *words, "--out", str(tmp_path / "whole"), "--quiet").returncode == 0
    if job == "reconstruct":
        assert tree(out) == tree(tmp_path / "whole")
    else:
        record = read_ledgers(out)
        assert record is not None
        assert len(Known(record)) == images
        assert not any(shard.failures for shard in record.shards)
