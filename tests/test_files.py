"""Files appear whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aedeploy.errors import BusyError
from aedeploy.files import PARTIAL_SUFFIX, locked, replacing, sha256_of, write_bytes, write_json, write_text


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    write_text(target, "new ü")
    assert target.read_bytes() == "new ü".encode()
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("before", [{}, {"a.txt": "old"}], ids=["new", "old"])
@pytest.mark.parametrize("kind", [ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_an_error_on_the_way_leaves_the_folder_as_it_was(
    tmp_path: Path, kind: type[BaseException], before: dict[str, str]
) -> None:
    for name, text in before.items():
        write_text(tmp_path / name, text)

    def fail_halfway() -> None:
        with replacing(tmp_path / "a.txt") as partial:
            partial.write_text("half")
            raise kind("on the way")

    with pytest.raises(kind):
        fail_halfway()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


def test_a_writer_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(FileNotFoundError), replacing(target):
        pass
    assert target.read_text() == "old"


def test_the_target_is_old_until_the_end(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with replacing(target) as partial:
        partial.write_text("new")
        assert target.read_text() == "old"
        assert partial.parent == target.parent
        assert partial.name.startswith(".")
    assert target.read_text() == "new"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_writer_leaves_the_old_content_and_a_leftover_that_is_known_as_one(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    program = (
        "import os, signal, sys; from pathlib import Path; from aedeploy.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as partial:\n"
        "    partial.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(target)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert target.read_text() == "old"
    (leftover,) = set(os.listdir(tmp_path)) - {"a.txt"}
    assert leftover.endswith(PARTIAL_SUFFIX)


def test_a_name_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 255)
    write_bytes(target, b"x")
    assert target.read_bytes() == b"x"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"deep": [float("-inf")]}])
def test_json_without_numbers_that_json_has_not(tmp_path: Path, value: object) -> None:
    target = tmp_path / "a.json"
    write_json(target, {"old": True})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(target, value)
    assert json.loads(target.read_text()) == {"old": True}


def test_json_is_readable(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_json(target, {"größe": [1, 2.5, None]})
    assert "größe" in target.read_text(encoding="utf-8")
    assert json.loads(target.read_text(encoding="utf-8")) == {"größe": [1, 2.5, None]}


def test_the_digest_is_the_one_that_everybody_computes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_a_lock_is_held_against_other_processes_and_ends_with_its_holder(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from aedeploy.files import locked
with locked(Path({str(tmp_path)!r})):
    print("held", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BusyError, match="somebody is at it"), locked(tmp_path, "somebody is at it"):
            pass
        holder.kill()
    with locked(tmp_path, "somebody is at it"):
        pass
