from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import Result

Run = Callable[..., Result]


@pytest.mark.parametrize("job", ["encode", "reconstruct", "denoise"])
def test_it_prints_the_plan_and_writes_nothing(run: Run, job: str) -> None:
    Path("in/broken.png").write_bytes(b"no image")
    Path("in/notes.txt").touch()
    before = sorted(Path().rglob("*"))
    result = run(job, "in", "--out", "out", "--bundle", "tiny", "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert f"{job} in → out  (a dry run: nothing is written)" in result.stdout
    assert "inputs     4: 4 to do" in result.stdout
    assert "skipped    1 file: no images by their names, or not selected" in result.stdout
    assert "geometry   each image is resized to 8×8" in result.stdout
    assert "from 4 inputs measured, 1 of which failed: " in result.stdout
    assert "failed     broken.png: it is not an image" in result.stdout
    assert sorted(Path().rglob("*")) == before


def test_as_json(run: Run) -> None:
    result = run("reconstruct", "in", "--out", "out", "--dry-run", "--json")
    plan = json.loads(result.stdout)
    assert list(plan)[:4] == ["job", "bundle", "source", "output"]
    counts = {key: plan[key] for key in ("inputs", "to_do", "done", "shards", "collisions", "failures", "refused")}
    assert counts == {
        "inputs": 3,
        "to_do": 3,
        "done": 0,
        "shards": 1,
        "collisions": [],
        "failures": [],
        "refused": None,
    }
    assert plan["bytes"] == sum(path.stat().st_size for path in Path("in").rglob("*.*"))
    assert set(plan["sample"]["seconds"]) == {"read", "decode", "infer", "write"}
    assert plan["sample"]["images"] == 3
    written = run("reconstruct", "in", "--out", "out")
    assert written.exit_code == 0
    assert plan["estimated_output_bytes"] == sum(path.stat().st_size for path in Path("out").rglob("*.png"))


def test_all_collisions_are_listed_and_the_exit_code_is_that_of_the_job(run: Run) -> None:
    for name in ("a.bmp", "b.png"):
        Image.new("L", (8, 8)).save(Path("in", name))
    result = run("reconstruct", "in", "--out", "out", "--dry-run")
    assert result.exit_code == 2
    assert result.stdout.count("  collides   ") == 4
    assert "a.bmp and a.png would both be written to a.png" in result.stdout
    assert "b.jpg and b.png would both be written to b.png" in result.stdout
    assert "It would be refused: a.bmp and a.png would both be written to a.png: use --names full." in result.stderr
    assert run("reconstruct", "in", "--out", "out").exit_code == 2
    assert run("reconstruct", "in", "--out", "out", "--dry-run", "--names", "full").exit_code == 0


def test_what_is_done_is_not_to_do_and_what_changed_refuses(run: Run) -> None:
    run("encode", "in", "--out", "out")
    again = run("encode", "in", "--out", "out", "--dry-run")
    assert "inputs     3: 0 to do, 3 done already" in again.stdout
    Image.new("L", (30, 30), 77).save("in/a.png")
    changed = run("encode", "in", "--out", "out", "--dry-run")
    assert changed.exit_code == 2
    assert "fails      a.png: it changed since it was done" in changed.stdout
    assert "It would be refused: 1 of the inputs that are done in out changed since, such as a.png" in changed.stderr


def test_decode_too(run: Run) -> None:
    run("encode", "in", "--out", "latents")
    plan = json.loads(run("decode", "latents", "--out", "out", "--dry-run", "--json").stdout)
    assert (plan["to_do"], plan["sample"]["images"]) == (3, 3)
    assert plan["bytes"] == Path("latents/part-00000.parquet").stat().st_size
    assert plan["geometry"] == "each image comes out at 8×8"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("encode", "missing", "--out", "out"), 2, "There is no file or folder missing"),
        (("encode", "in", "--out", "in/out"), 2, "is in the input folder"),
        (("encode", "in", "--out", "out", "--include", "*.tif"), 4, "is left by --include and --exclude"),
    ],
)
def test_what_cannot_be_planned_ends_as_the_job_would(
    run: Run, words: tuple[str, ...], code: int, message: str
) -> None:
    result = run(*words, "--dry-run", "--json")
    assert result.exit_code == code
    assert message in json.loads(result.stdout)["error"]["message"]
