"""Programs are written whole, around what may be used, and nothing that somebody changed is lost."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.embed import target_names, write_program
from aedeploy.embed.contract import contract_of
from aedeploy.errors import BundleError, ConfigError, IntegrityError, UnknownNameError
from aedeploy.files import sha256_of
from aedeploy.names import literals_in, summaries_in

TARGETS = "aedeploy.embed.targets"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "tiny")


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "aedeploy", *map(str, arguments)], capture_output=True, text=True)


def content(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("target", target_names())
def test_targets_are_listed_with_what_they_need(target: str) -> None:
    known = literals_in(TARGETS, target)
    assert summaries_in(TARGETS)[target].endswith(".")
    assert isinstance(known["FORMATS"], tuple)
    assert known["FORMATS"]
    assert isinstance(known["NEEDS"], str)
    assert isinstance(known["NEXT"], tuple)


def test_list_targets() -> None:
    found = command("list", "targets", "--json")
    rows = json.loads(found.stdout)["targets"]
    assert [row["name"] for row in rows] == target_names()
    assert {"name", "summary", "runs", "needs"} == set(rows[0])


def test_a_program_has_its_graphs_and_golden_vectors_and_no_path_of_this_machine(
    bundle: Bundle, tmp_path: Path
) -> None:
    written = write_program("python", bundle, tmp_path / "program")
    assert set(written.files) == set(content(written.folder)) - {".aedeploy-embed.json"}
    for graph in bundle.manifest.graphs:
        assert sha256_of(written.folder / "model" / Path(graph.file.path).name) == graph.file.sha256
    for path in written.folder.rglob("*"):
        if path.is_file():
            assert str(tmp_path).encode() not in path.read_bytes(), path
            assert b"@BUNDLE@" not in path.read_bytes()


def test_the_same_bundle_gives_the_same_bytes(bundle: Bundle, tmp_path: Path) -> None:
    one = write_program("python", bundle, tmp_path / "one").folder
    other = write_program("python", bundle, tmp_path / "other").folder
    assert content(one) == content(other)


def test_the_contract_holds_what_json_holds(bundle: Bundle) -> None:
    contract = contract_of(bundle, bundle.manifest.graphs)
    assert json.loads(json.dumps(contract)) == contract
    assert contract["latent"]["shape"] == [16]
    assert [graph["role"] for graph in contract["graphs"]]
    assert contract["golden"]["cases"][0] == {"role": "encoder", "batch": 1}
    outputs = {output["name"]: output for graph in contract["graphs"] for output in graph["outputs"]}
    assert (outputs["latent"]["absolute"], outputs["latent"]["relative"]) == (1e-5, 1e-5)


def test_tolerances_that_parity_was_given_are_carried(bundle: Bundle, tmp_path: Path) -> None:
    graphs = tuple(graph.model_copy(update={"tolerances": {"image": 0.5}}) for graph in bundle.manifest.graphs)
    contract = contract_of(bundle, graphs)
    images = [o for graph in contract["graphs"] for o in graph["outputs"] if o["name"] in ("image", "reconstruction")]
    assert {output["absolute"] for output in images} == {0.5}


def test_a_graph_that_failed_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    failed = bundle.manifest.graphs[0].model_copy(update={"parity": "failed"})
    with pytest.raises(BundleError, match="failed its parity check"):
        write_program("python", bundle.with_graphs([failed]), tmp_path / "program")
    assert not (tmp_path / "program").exists()


def test_an_altered_graph_is_refused_and_nothing_is_written(bundle: Bundle, tmp_path: Path) -> None:
    graph = bundle.path / bundle.manifest.graphs[0].file.path
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    with pytest.raises(IntegrityError):
        write_program("python", bundle, tmp_path / "program")
    assert not (tmp_path / "program").exists()
    assert not list(tmp_path.glob(".aedeploy*"))


def test_a_format_that_is_not_there(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"aedeploy export .* --format ort"):
        write_program("python", bundle, tmp_path / "program", format="ort")
    with pytest.raises(ConfigError, match="runs onnx"):
        write_program("python", bundle, tmp_path / "program", format="torchscript")


def test_an_unknown_target(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'python'"):
        write_program("pyton", bundle, tmp_path / "program")


def test_an_option_of_another_target(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--samples is of the target web"):
        write_program("python", bundle, tmp_path / "program", options={"samples": tmp_path})


def refuse(arguments: Sequence[str | Path], said: str) -> None:
    found = command("embed", *arguments)
    assert found.returncode == 2, found.stderr
    assert said in found.stderr


def test_folders_in_which_something_would_be_lost(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    refuse(["python", bundle.path, "--out", tmp_path / "file"], "is no folder")
    refuse(["python", bundle.path, "--out", tmp_path / "full"], "is not empty")
    refuse(["python", bundle.path, "--out", tmp_path / "full", "--overwrite"], "aedeploy did not write")
    refuse(["python", bundle.path, "--out", bundle.path / "program"], "is in the bundle")
    assert content(tmp_path / "full") == {"mine.txt": sha256_of(tmp_path / "file")}


def test_overwrite_keeps_what_is_not_ours_and_removes_what_is_no_longer(bundle: Bundle, tmp_path: Path) -> None:
    folder = write_program("python", bundle, tmp_path / "program").folder
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "theirs.js").write_text("theirs")
    (folder / "mine.py").write_text("mine")
    mark = json.loads((folder / ".aedeploy-embed.json").read_text())
    (folder / "old" / "file.txt").parent.mkdir()
    (folder / "old" / "file.txt").write_text("of an older release")
    mark["files"]["old/file.txt"] = [sha256_of(folder / "old" / "file.txt")]
    (folder / ".aedeploy-embed.json").write_text(json.dumps(mark))
    other = write_tiny_bundle(tmp_path / "other", scale=2.0)
    write_program("python", other, folder, overwrite=True)
    assert (folder / "mine.py").read_text() == "mine"
    assert (folder / "node_modules" / "theirs.js").exists()
    assert not (folder / "old").exists()
    assert other.manifest.digest in (folder / "contract.py").read_text()
    fresh = write_program("python", other, tmp_path / "fresh").folder
    assert content(fresh).items() <= content(folder).items()


def test_overwrite_refuses_where_our_files_were_changed(bundle: Bundle, tmp_path: Path) -> None:
    folder = write_program("python", bundle, tmp_path / "program").folder
    (folder / "main.py").write_text("better")
    before = content(folder)
    with pytest.raises(ConfigError, match=r"main\.py .* changed since"):
        write_program("python", bundle, folder, overwrite=True)
    assert content(folder) == before


def test_overwrite_refuses_a_file_that_would_now_be_ours(bundle: Bundle, tmp_path: Path) -> None:
    folder = write_program("python", bundle, tmp_path / "program").folder
    mark: dict[str, Any] = json.loads((folder / ".aedeploy-embed.json").read_text())
    del mark["files"]["golden.py"]
    (folder / ".aedeploy-embed.json").write_text(json.dumps(mark))
    (folder / "golden.py").write_text("mine")
    with pytest.raises(ConfigError, match=r"golden\.py is not aedeploy's"):
        write_program("python", bundle, folder, overwrite=True)
    assert (folder / "golden.py").read_text() == "mine"


def test_an_overwrite_that_was_cut_short_can_be_made_again(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_program("python", bundle, tmp_path / "program").folder
    other = write_tiny_bundle(tmp_path / "other", scale=2.0)
    import aedeploy.embed.write as module

    written: list[Path] = []
    whole = module.write_bytes

    def cut_short(path: Path, data: bytes) -> None:
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(path)
        whole(path, data)

    monkeypatch.setattr(module, "write_bytes", cut_short)
    with pytest.raises(KeyboardInterrupt):
        write_program("python", other, folder, overwrite=True)
    monkeypatch.undo()
    write_program("python", other, folder, overwrite=True)
    assert content(write_program("python", other, tmp_path / "fresh").folder) == content(folder)


def test_a_folder_that_is_empty_stays_the_one_that_it_is(bundle: Bundle, tmp_path: Path) -> None:
    # It may be a mounted one, or where somebody's shell is.
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    before = (tmp_path / "empty").stat().st_ino
    folder = write_program("python", bundle, tmp_path / "link").folder
    assert (tmp_path / "empty").stat().st_ino == before
    assert (tmp_path / "link").is_symlink()
    assert content(folder) == content(write_program("python", bundle, tmp_path / "fresh").folder)


def test_a_folder_is_filled_whole_or_not_at_all(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    whole = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "main.py":
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    for folder in (tmp_path / "empty", tmp_path / "fresh"):
        with pytest.raises(OSError, match="No space left"):
            write_program("python", bundle, folder)
    assert {path.name for path in tmp_path.iterdir()} == {"tiny", "empty"}
    assert not list((tmp_path / "empty").iterdir())


def test_overwrite_refuses_a_folder_in_the_place_of_a_file(bundle: Bundle, tmp_path: Path) -> None:
    folder = write_program("python", bundle, tmp_path / "program").folder
    (folder / "main.py").unlink()
    (folder / "main.py").mkdir()
    (folder / "index.js").mkdir()
    with pytest.raises(ConfigError, match=r"main\.py in .* changed"):
        write_program("python", bundle, folder, overwrite=True)
    (folder / "main.py").rmdir()
    with pytest.raises(ConfigError, match=r"index\.js is not aedeploy's"):
        write_program("node", bundle, folder, overwrite=True)


@pytest.mark.parametrize("path", ["../outside.txt", "/etc/passwd", ""])
def test_a_mark_that_leads_out_of_the_folder_is_not_followed(path: str, bundle: Bundle, tmp_path: Path) -> None:
    folder = write_program("python", bundle, tmp_path / "program").folder
    (tmp_path / "outside.txt").write_text("theirs")
    mark = json.loads((folder / ".aedeploy-embed.json").read_text())
    mark["files"][path] = [sha256_of(tmp_path / "outside.txt")]
    (folder / ".aedeploy-embed.json").write_text(json.dumps(mark))
    with pytest.raises(ConfigError, match="did not write"):
        write_program("python", bundle, folder, overwrite=True)
    assert (tmp_path / "outside.txt").exists()


def test_the_command_says_what_comes_next(bundle: Bundle, tmp_path: Path) -> None:
    found = command("embed", "python", bundle.path, "--out", tmp_path / "a program")
    assert found.returncode == 0, found.stderr
    assert "python main.py self-test" in found.stdout
    assert f"cd '{tmp_path / 'a program'}'" in found.stdout
    found = command("embed", "python", bundle.path, "--out", tmp_path / "a program", "--overwrite", "--json")
    value = json.loads(found.stdout)
    assert value["digest"] == bundle.manifest.digest
    assert "main.py" in value["files"]


def test_a_model_that_cannot_be_cut_has_a_program_too(bundle: Bundle, tmp_path: Path) -> None:
    path = Path(shutil.copytree(bundle.path, tmp_path / "whole"))
    opened = open_bundle(path)
    whole = [graph for graph in opened.manifest.graphs if graph.role == "autoencoder"]
    uncut = opened.save(opened.manifest.model_copy(update={"latent": None, "graphs": tuple(whole)}))
    folder = write_program("python", uncut, tmp_path / "program").folder
    ran = subprocess.run([sys.executable, folder / "main.py", "self-test"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
    ran = subprocess.run([sys.executable, folder / "main.py", "encode", "x.png"], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr.strip()) == (1, "Error: this model has no encoder graph")
