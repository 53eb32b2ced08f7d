from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import Result

from aedeploy.cli.app import app
from aedeploy.jobs.ledger import LedgerWriter

Run = Callable[..., Result]


def status(run: Run, folder: str = "out") -> dict[str, object]:
    result = run("jobs", "status", folder, "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_status_says_what_became_of_a_job(run: Run) -> None:
    for number in range(5):
        Path(f"in/x{number}.png").write_bytes(b"no image")
    assert run("encode", "in", "--out", "out", "--format", "npy").exit_code == 3
    result = run("jobs", "status", "out")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert re.match(r"encode /.*/in → out$", lines[0])
    assert "  options    --format npy" in lines
    assert "  inputs     8: 3 ok, 5 failed, 0 left" in lines
    assert any(
        re.match(r"  shards     1, .* bytes? of outputs|  shards     1, .* kB of outputs", line) for line in lines
    )
    assert (
        "  failed     5: it is not an image of a known format, or its header is broken (x0.png, x1.png, x2.png, …)"
        in lines
    )
    assert "  To do what failed or is missing:  aedeploy jobs retry out" in lines


def test_status_as_json(run: Run) -> None:
    run("reconstruct", "in", "--out", "out")
    found = status(run)
    counts = {key: found[key] for key in ("job", "inputs", "ok", "failed", "missing", "left", "running", "processes")}
    assert counts == {
        "job": "reconstruct",
        "inputs": 3,
        "ok": 3,
        "failed": 0,
        "missing": 0,
        "left": 0,
        "running": False,
        "processes": [],
    }
    assert found["bytes"] == sum(path.stat().st_size for path in Path("out").rglob("*.png"))
    assert "To do what" not in run("jobs", "status", "out").stdout


def test_an_output_that_is_gone_is_missing_and_retry_makes_it_again(run: Run) -> None:
    run("reconstruct", "in", "--out", "out")
    before = Path("out/sub/c.png").read_bytes()
    Path("out/sub/c.png").unlink()
    found = status(run)
    assert (found["ok"], found["missing"], found["left"]) == (2, 1, 1)
    result = run("jobs", "retry", "out", "--json")
    assert result.exit_code == 0, result.stderr
    assert {key: json.loads(result.stdout)[key] for key in ("ok", "skipped")} == {"ok": 1, "skipped": 2}
    assert Path("out/sub/c.png").read_bytes() == before
    assert status(run)["missing"] == 0


def test_retry_does_what_failed_with_the_options_that_were_asked_for(run: Run) -> None:
    good = Path("in/a.png").read_bytes()
    Path("in/a.png").write_bytes(b"no image")
    assert run("encode", "in", "--out", "out", "--exclude", "sub/", "--dtype", "float16").exit_code == 3
    Path("in/a.png").write_bytes(good)
    result = run("jobs", "retry", "out")
    assert result.exit_code == 0
    assert re.search(r"Again: aedeploy encode \S+/in --out out .* --exclude sub/ --dtype float16\n", result.stderr)
    assert "encode: 1 ok, 2 skipped, 0 failed" in result.stdout  # b.jpg is done, and c.png is not selected
    assert status(run)["failures"] == []


def test_retry_finds_a_bundle_and_an_output_folder_that_were_moved(run: Run) -> None:
    run("reconstruct", "in", "--out", "out")
    Path("out/a.png").unlink()
    Path("artifacts/tiny").rename("artifacts/elsewhere")
    Path("out").rename("moved")
    refused = run("jobs", "retry", "moved")
    assert refused.exit_code == 1
    assert "tiny is not a bundle" in refused.stderr
    assert run("jobs", "retry", "moved", "--bundle", "elsewhere").exit_code == 0
    assert Path("moved/a.png").exists()
    assert not Path("out").exists()


def test_the_ledgers_of_several_processes_are_one_job_and_one_retry_ends_it(run: Run) -> None:
    Path("in/x.png").write_bytes(b"no image")
    assert run("reconstruct", "in", "--out", "out", "--shard", "1/2").exit_code == 0  # all of it is in the first cell
    found = status(run)
    assert (found["ok"], found["inputs"], found["left"], found["processes"]) == (0, None, None, ["1/2"])
    assert run("reconstruct", "in", "--out", "out", "--shard", "0/2").exit_code == 3
    found = status(run)
    assert (found["ok"], found["failed"], found["inputs"], found["left"]) == (3, 1, 4, 0)
    assert found["processes"] == ["0/2", "1/2"]
    Path("in/x.png").unlink()
    assert run("jobs", "retry", "out").exit_code == 0


def test_status_says_that_a_job_runs(run: Run) -> None:
    run("encode", "in", "--out", "out")
    with LedgerWriter(Path("out")):
        assert status(run)["running"] is True
        assert "(it runs now)" in run("jobs", "status", "out").stdout


def test_retry_as_a_dry_run_writes_nothing(run: Run) -> None:
    run("reconstruct", "in", "--out", "out")
    Path("out/a.png").unlink()
    ledger = Path("out/.aedeploy/ledger.jsonl").read_bytes()
    result = run("jobs", "retry", "out", "--dry-run")
    assert result.exit_code == 0
    assert "1 to do, 2 done already" in result.stdout
    assert Path("out/.aedeploy/ledger.jsonl").read_bytes() == ledger
    assert not Path("out/a.png").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("status", "in"), 4, "There is no job in in: no ledger in in/.aedeploy."),
        (("retry", "in"), 4, "There is no job in in: no ledger in in/.aedeploy."),
        (("status", "nowhere"), 2, "There is no folder nowhere: name the --out of a job."),
        (("status", "in/a.png"), 2, "There is no folder in/a.png"),
        (("retry", "stdin"), 2, "were listed on stdin, which is gone: run its command again"),
        (("status", "broken"), 1, "ledger.jsonl is damaged"),
    ],
)
def test_what_cannot_work_is_one_sentence(run: Run, words: tuple[str, ...], code: int, message: str) -> None:
    run("encode", "in", "--out", "stdin")
    ledger = Path("stdin/.aedeploy/ledger.jsonl")
    header, *rest = ledger.read_text().splitlines(keepends=True)
    source = json.loads(header)["request"]["source"]
    ledger.write_text("".join([header.replace(json.dumps(source), '"-"'), *rest]))
    Path("broken/.aedeploy").mkdir(parents=True)
    Path("broken/.aedeploy/ledger.jsonl").write_text("{}\n")
    result = run("jobs", *words, "--json")
    assert result.exit_code == code
    assert message in result.stderr
    assert json.loads(result.stdout)["exit_code"] == code


@pytest.mark.parametrize("name", ["status", "retry"])
def test_each_explains_itself_as_every_command_does(name: str) -> None:
    command = typer.main.get_command(app).commands["jobs"].commands[name]  # type: ignore[attr-defined]
    assert re.search(rf"Example:\n\n    aedeploy jobs {name} ", command.help)
    assert {"--json", "--quiet", "--verbose", "--debug"} <= {word for each in command.params for word in each.opts}
    assert [each.name for each in command.params if not getattr(each, "help", None)] == []
