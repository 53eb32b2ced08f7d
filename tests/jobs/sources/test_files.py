from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from listed_inputs import listed, touch

from aedeploy.errors import ConfigError
from aedeploy.jobs.sources import find_origin

# Says what is listed as it is listed.
LISTING = """
import json
from aedeploy.jobs.sources import Selection, find_origin, list_inputs
for group in list_inputs(find_origin("-"), Selection()):
    print(json.dumps([[source.path for source in group.sources], len(group.others)]), flush=True)
"""


@pytest.fixture
def lister(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", LISTING], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield process
        process.kill()


def write_list(folder: Path, content: bytes) -> Path:
    path = folder / "list.txt"
    path.write_bytes(content)
    return path


def test_paths_are_those_below_the_folder_of_the_list_and_absolute_ones_elsewhere(tmp_path: Path) -> None:
    touch(tmp_path, ["in/a.png", "in/sub/b", "out/c.png"])
    entries = ["a.png", "./sub/../sub/b", str(tmp_path / "in/sub/b"), "../out/c.png", str(tmp_path / "out/c.png"), ""]
    found = listed(write_list(tmp_path / "in", "\n".join(entries).encode()))
    elsewhere = f"{tmp_path}/out/c.png".lstrip("/")
    assert found.paths == ["a.png", "sub/b", elsewhere]
    assert found.others == ["sub/b", elsewhere]
    assert set(found.contents()) == set(found.paths)


@pytest.mark.parametrize(
    "content",
    [
        b"a.png\n b \n\xc3\xa4.png\n",
        b"a.png\n b \n\xc3\xa4.png",
        b"\xef\xbb\xbfa.png\r\n b \r\n\r\n\xc3\xa4.png\r\n",
        b"a.png\0 b \0\0\xc3\xa4.png\0",
        b"\n\n\na.png\n\n b \n\xc3\xa4.png\n\n",
    ],
)
def test_all_kinds_of_lists_are_read(tmp_path: Path, content: bytes) -> None:
    touch(tmp_path, ["a.png", " b ", "ä.png"])
    found = listed(write_list(tmp_path, content))
    assert found.paths == ["a.png", " b ", "ä.png"]
    assert not found.failures


def test_between_null_characters_a_name_may_have_anything(tmp_path: Path) -> None:
    names = ["line\nbreak.png", "\r", " ", "-", "a.png\r"]
    touch(tmp_path, names)
    assert listed(write_list(tmp_path, "\0".join(names).encode())).paths == names


def test_what_is_not_there_is_a_failure_and_shifts_nothing(tmp_path: Path) -> None:
    touch(tmp_path, ["a.png", "z.png", "folder/x"])
    found = listed(write_list(tmp_path, b"a.png\ngone.png\nfolder\nx\xff.png\n" + b"y" * 5000 + b"\nz.png\n"))
    assert found.paths == ["a.png", "z.png"]
    assert found.failures["gone.png"] == "it cannot be read: No such file or directory"
    assert "a folder" in found.failures["folder"]
    assert "UTF-8" in found.failures["x\\xff.png"]
    assert len(found.failures) == 4


def test_two_files_of_one_path_are_not_taken_for_one(tmp_path: Path) -> None:
    inside = f"in{tmp_path}/out/c.png"
    touch(tmp_path, ["out/c.png", inside])
    found = listed(write_list(tmp_path / "in", f"{tmp_path}/{inside}\n{tmp_path}/out/c.png\n".encode()))
    assert found.paths == [f"{tmp_path}/out/c.png".lstrip("/")]
    assert "that of another file" in found.failures[f"{tmp_path}/out/c.png"]


def test_what_dots_mean_depends_on_links(tmp_path: Path) -> None:
    touch(tmp_path, ["in/a.png", "far/away/b.png", "far/c.png"])
    (tmp_path / "in/link").symlink_to(tmp_path / "far/away")
    found = listed(write_list(tmp_path / "in", b"link/../c.png\nlink/b.png\nlink/../../in/a.png\n"))
    assert found.paths == [f"{tmp_path}/far/c.png".lstrip("/"), "link/b.png", "a.png"]
    assert len(found.contents()) == 3


def test_a_null_character_among_lines_is_a_failure(tmp_path: Path) -> None:
    touch(tmp_path, ["a.png"])
    found = listed(write_list(tmp_path, b"a.png\n" * 20_000 + b"b\0c\n"))
    assert found.paths == ["a.png"]
    assert len(found.others) == 19_999
    assert "null character" in found.failures["b\0c"]


def test_a_line_without_end_takes_no_memory(tmp_path: Path) -> None:
    touch(tmp_path, ["a.png", "b.png"])
    found = listed(write_list(tmp_path, b"a.png\n" + b"x" * 3_000_000 + b"\nb.png\n"))
    assert found.paths == ["a.png", "b.png"]
    (path,) = found.failures
    assert len(path) < 200_000


def test_the_selection_holds_for_lists_too(tmp_path: Path) -> None:
    touch(tmp_path, ["a.png", "b.jpg"])
    found = listed(write_list(tmp_path, b"a.png\nb.jpg\n"), exclude=("*.jpg",))
    assert (found.paths, found.others) == (["a.png"], ["b.jpg"])


def test_a_list_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no list"):
        find_origin(str(tmp_path / "none.txt"))


def test_a_list_of_stdin_is_listed_while_it_comes(tmp_path: Path, lister: subprocess.Popen[bytes]) -> None:
    touch(tmp_path, ["a.png", "b c.png", "d.png"])
    assert lister.stdin is not None
    assert lister.stdout is not None
    lister.stdin.write(b"a.png\nb c")
    lister.stdin.flush()
    # Before the end of the list.
    assert json.loads(lister.stdout.readline()) == [["a.png"], 0]
    lister.stdin.write(b".png\na.png\nd.png")
    lister.stdin.close()
    rest = [json.loads(line) for line in lister.stdout]
    assert [path for paths, _ in rest for path in paths] == ["b c.png", "d.png"]
    assert sum(others for _, others in rest) == 1


def test_stdin_takes_null_characters_too(tmp_path: Path) -> None:
    touch(tmp_path, ["line\nbreak.png", "b.png"])
    done = subprocess.run(
        [sys.executable, "-c", LISTING], cwd=tmp_path, input=b"line\nbreak.png\0b.png\0", stdout=subprocess.PIPE
    )
    assert json.loads(done.stdout) == [["line\nbreak.png", "b.png"], 0]


def test_an_empty_list_gives_nothing(tmp_path: Path) -> None:
    assert listed(write_list(tmp_path, b"\n\n")).groups == []
    assert listed(write_list(tmp_path, b"")).groups == []


def test_workers_read_what_was_listed_wherever_they_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(b"content")
    monkeypatch.chdir(tmp_path)
    write_list(tmp_path, b"a.png")
    found = listed("list.txt")
    monkeypatch.chdir(os.path.sep)
    assert found.contents() == {"a.png": b"content"}
