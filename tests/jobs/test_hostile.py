"""Odd, broken and malicious files, all at once: each ends as ok, skipped or failed with a reason."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image
from tiny_bundle import write_tiny_bundle

# What the process had at most in memory, on stderr. (Of a child, getrusage would count what its parent had.)
MEASURED = """
import sys
from aedeploy.cli.app import main
try:
    main()
finally:
    with open("/proc/self/status") as status:
        peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
    print("peak", peak, file=sys.stderr)
"""

# A guard against a job that hangs, far beyond the seconds that it takes.
PATIENCE = 300


# Measured with two workers: 290 MB, 90 of which are Python and the engine.
MOST_KILOBYTES = 600_000

# Notes that every job has; of such files there is nothing else on stderr, neither Pillow's warnings nor C libraries'.
NOTES = ("Bundle: ", "Each image is resized to 32×32", "peak ")

measured = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")


def done(job: str, source: str, bundle: Path, out: Path, *options: str, stdin: str | None = None) -> dict[str, Any]:
    """The summary of a job over hostile files: each in exactly one of ok, skipped and failed, and within memory."""
    words = [job, source, "--out", str(out), "--bundle", str(bundle), "--json", *options]
    ended = subprocess.run(
        [sys.executable, "-c", MEASURED, *words], capture_output=True, text=True, timeout=PATIENCE, input=stdin
    )
    assert ended.returncode == 3, ended.stderr
    assert [line for line in ended.stderr.splitlines() if not line.startswith(NOTES)] == []
    peak = int(next(line.split()[1] for line in ended.stderr.splitlines() if line.startswith("peak")))
    assert peak < MOST_KILOBYTES
    summary: dict[str, Any] = json.loads(ended.stdout)
    assert summary["ok"] + summary["skipped"] + summary["failed"] == summary["inputs"]
    assert len({failure["path"] for failure in summary["failures"]}) == summary["failed"]
    assert all(failure["reason"] and "\n" not in failure["reason"] for failure in summary["failures"])
    return summary


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def by_path(out: Path) -> dict[str, list[float]]:
    """Latents by their paths, in the order of the rows."""
    table = pq.read_table(sorted(out.glob("*.parquet")), columns=["path", "latent"])
    paths = table["path"].to_pylist()
    assert len(set(paths)) == len(paths)
    return dict(zip(paths, table["latent"].to_pylist(), strict=True))


@measured
@pytest.mark.parametrize("folder", ["hostile", "pngsuite"])
def test_every_hostile_file_has_its_own_row_or_its_own_reason(shared_data: Path, tmp_path: Path, folder: str) -> None:
    tiny, files = write_tiny_bundle(tmp_path / "tiny", mode="RGB", size=32).path, shared_data / folder
    summary = done("encode", str(files), tiny, tmp_path / "out")
    names, rows = set(files_in(files)), by_path(tmp_path / "out")
    failed = {failure["path"]: failure["reason"] for failure in summary["failures"]}
    assert summary["inputs"] == len(names)
    assert len(rows) == summary["ok"]
    assert not set(rows) & set(failed)
    assert set(rows) | set(failed) <= names

    # In another order, in other batches, with other neighbours: each has the row, or the reason, that it had.
    images = [*rows, *failed]
    listed = "\0".join(str(files / name) for name in reversed(images))
    again = done("encode", "-", tiny, tmp_path / "again", "--batch-size", "3", "--workers", "1", stdin=listed)
    prefix = f"{str(files)[1:]}/"
    turned = {path.removeprefix(prefix): latent for path, latent in by_path(tmp_path / "again").items()}
    assert list(turned) == list(reversed(rows))
    assert all(turned[path] == pytest.approx(latent, abs=1e-5) for path, latent in rows.items())
    assert {failure["path"].removeprefix(prefix): failure["reason"] for failure in again["failures"]} == failed


@measured
@pytest.mark.parametrize(("folder", "options"), [("hostile", ["--size", "model"]), ("pngsuite", [])])
def test_every_hostile_file_has_its_own_image_or_its_own_reason(
    shared_data: Path, tmp_path: Path, folder: str, options: list[str]
) -> None:
    tiny = write_tiny_bundle(tmp_path / "tiny", mode="RGB", size=32).path
    out = tmp_path / "out"
    summary = done("reconstruct", str(shared_data / folder), tiny, out, "--names", "full", *options)
    written = {str(path.relative_to(out)).removesuffix(".png") for path in out.rglob("*.png")}
    failed = {failure["path"] for failure in summary["failures"]}
    assert len(written) == summary["ok"]
    assert not written & failed
    assert written | failed <= set(files_in(shared_data / folder))
    modes = set()
    for path in out.rglob("*.png"):
        with Image.open(path) as image:
            image.load()
            modes.add(image.mode)
    assert modes == ({"RGB"} if options else {"RGB", "RGBA"})


@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors"])
def test_names_that_are_not_utf_8_are_told_on_the_strictest_of_outputs(tmp_path: Path, format: str) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny")
    (tmp_path / "in").mkdir()
    for name in (b"a.png", b"x\xff.png", b"x\xff.txt"):
        try:
            with open(bytes(tmp_path / "in") + b"/" + name, "wb") as file:
                Image.new("L", (8, 8), 100).save(file, "PNG")
        except OSError:
            pytest.skip("this file system takes no such name")
    words = ["encode", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--bundle", str(bundle.path)]
    for json_ in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "aedeploy", *words, "--format", format, *json_],
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE,
            env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
        )
        assert done.returncode == 3, done.stderr
        assert "x\\xff.png: its name" in done.stdout or json.loads(done.stdout)["failures"][0]["path"] == "x\\xff.png"
    assert "Traceback" not in done.stderr
