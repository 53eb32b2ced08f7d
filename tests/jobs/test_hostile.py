"""Odd, broken and malicious files, all at once: each ends as ok, skipped or failed with a reason."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
@pytest.mark.parametrize("folder", ["hostile", "pngsuite"])
@pytest.mark.parametrize("job", ["encode", "reconstruct"])
def test_every_hostile_file_is_accounted_for(shared_data: Path, tmp_path: Path, folder: str, job: str) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny", mode="RGB", size=32)
    words = [job, str(shared_data / folder), "--out", str(tmp_path / "out"), "--bundle", str(bundle.path), "--json"]
    names = ["--names", "full"] if job == "reconstruct" else []
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *words, *names], capture_output=True, text=True, timeout=PATIENCE
    )
    summary = json.loads(done.stdout)
    assert done.returncode == 3, done.stderr

    files = {str(p.relative_to(shared_data / folder)) for p in (shared_data / folder).rglob("*") if p.is_file()}
    assert summary["inputs"] == len(files)
    assert summary["ok"] + summary["skipped"] + summary["failed"] == len(files)
    failed = {failure["path"]: failure["reason"] for failure in summary["failures"]}
    assert len(failed) == summary["failed"]
    assert all(reason and "\n" not in reason for reason in failed.values())
    if job == "encode":
        ok = set(pq.read_table(tmp_path / "out/part-00000.parquet", columns=["path"])["path"].to_pylist())
    else:
        written = (path for path in (tmp_path / "out").rglob("*.png"))
        ok = {str(path.relative_to(tmp_path / "out")).removesuffix(".png") for path in written}
        for path in (tmp_path / "out").rglob("*.png"):
            with Image.open(path) as image:
                assert image.mode == "RGB"
    assert len(ok) == summary["ok"]
    assert not ok & set(failed)
    assert ok | set(failed) <= files

    peak = int(next(line.split()[1] for line in done.stderr.splitlines() if line.startswith("peak")))
    assert peak < 1_000_000
    # Neither Pillow's warnings nor what C libraries have to say of such files.
    assert [line for line in done.stderr.splitlines() if not line.startswith(("Bundle:", "peak"))] == []


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
