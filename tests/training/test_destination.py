from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from aedeploy.errors import BusyError, ConfigError
from aedeploy.training.destination import check_destination, claim, default_destination


@pytest.fixture(autouse=True)
def _in_a_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def checkpoint(name: str, age: float) -> None:
    path = Path("artifacts") / name / "checkpoint.safetensors"
    path.parent.mkdir(parents=True)
    path.touch()
    os.utime(path, (1e9 - age, 1e9 - age))


def test_named_after_data_and_variant_and_numbered_where_taken() -> None:
    out = default_destination("digits", "ae")
    assert out == Path("artifacts/digits-ae")
    for name in ("digits-ae", "digits-ae-2"):
        (Path("artifacts") / name).mkdir(parents=True)
    check_destination(out, resume=False, overwrite=False, numbered=True)
    with claim(out, resume=False, overwrite=False, numbered=True) as folder:
        assert folder == Path("artifacts/digits-ae-3")


def test_runs_that_begin_at_once_get_a_folder_each() -> None:
    runs, together = 8, threading.Barrier(8, timeout=60)
    folders: list[Path] = []

    def begin() -> None:
        together.wait()
        with claim(Path("artifacts/ae"), resume=False, overwrite=False, numbered=True) as folder:
            folders.append(folder)
            together.wait()

    threads = [threading.Thread(target=begin) for _ in range(runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {folder.name for folder in folders} == {"ae", *(f"ae-{number}" for number in range(2, runs + 1))}


def test_a_folder_has_one_run_at_a_time() -> None:
    options = {"resume": False, "overwrite": False, "numbered": False}
    with claim(Path("run"), **options):
        with pytest.raises(BusyError, match="Another run is writing into run"), claim(Path("run"), **options):
            pass
        Path("run/checkpoint.safetensors").touch()
    with pytest.raises(ConfigError, match="run is there already"), claim(Path("run"), **options):
        pass


def test_a_run_that_wrote_nothing_leaves_nothing() -> None:
    with claim(Path("run"), resume=False, overwrite=False, numbered=False):
        assert Path("run").is_dir()
    assert not Path("run").exists()


def test_what_a_run_left_that_was_killed_before_its_first_checkpoint_is_replaced() -> None:
    Path("run").mkdir()
    Path("run/history.jsonl").touch()
    check_destination(Path("run"), resume=False, overwrite=True)


def test_what_a_run_left_that_was_killed_before_its_first_file_is_no_bundle() -> None:
    Path("run").mkdir()
    Path("run/.lock").touch()
    check_destination(Path("run"), resume=False, overwrite=False)


def test_a_name_is_fit_for_a_folder() -> None:
    assert default_destination("My Photos / été", "ae") == Path("artifacts/my-photos-été-ae")
    assert default_destination("..", "ae") == Path("artifacts/ae")


def test_the_newest_run_of_that_name_is_resumed() -> None:
    for name, age in {"digits-ae": 30, "digits-ae-2": 10, "digits-ae-3": 20, "digits-ae-big": 0, "x-ae": 0}.items():
        checkpoint(name, age)
    (Path("artifacts") / "digits-ae-4").mkdir()
    assert default_destination("digits", "ae", resume=True) == Path("artifacts/digits-ae-2")
    with pytest.raises(ConfigError, match="no run digits-vae to resume"):
        default_destination("digits", "vae", resume=True)


def test_a_new_or_an_empty_folder_may_be_written() -> None:
    check_destination(Path("a/b/c"), resume=False, overwrite=False)
    Path("empty").mkdir()
    check_destination(Path("empty"), resume=False, overwrite=False)
    assert not Path("a").exists()


def test_what_is_no_bundle_is_never_replaced() -> None:
    Path("photos").mkdir()
    Path("photos/me.jpg").touch()
    with pytest.raises(ConfigError, match="photos is there already"):
        check_destination(Path("photos"), resume=False, overwrite=False)
    with pytest.raises(ConfigError, match="holds something else"):
        check_destination(Path("photos"), resume=False, overwrite=True)
    with pytest.raises(ConfigError, match="is a file"):
        check_destination(Path("photos/me.jpg"), resume=False, overwrite=True)
    with pytest.raises(ConfigError, match="cannot be written to"):
        check_destination(Path("photos/me.jpg/run"), resume=False, overwrite=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_without_permission_is_refused() -> None:
    Path("locked").mkdir(mode=0o500)
    with pytest.raises(ConfigError, match="locked cannot be written to"):
        check_destination(Path("locked/run"), resume=False, overwrite=False)


def test_what_a_killed_run_left_half_written_is_no_obstacle() -> None:
    folder = Path("run")
    folder.mkdir()
    (folder / ".0123456789abcdef.aedeploy-partial").touch()
    check_destination(folder, resume=False, overwrite=False)
    (folder / "mine.txt").touch()
    with pytest.raises(ConfigError, match="run is there already"):
        check_destination(folder, resume=False, overwrite=False)
