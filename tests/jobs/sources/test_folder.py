from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from listed_inputs import listed, png, touch

from aedeploy.errors import ConfigError, ImageError
from aedeploy.files import PARTIAL_SUFFIX
from aedeploy.jobs.sources import Selection, _disk, find_origin, folder, list_inputs, open_contents
from aedeploy.jobs.spec import Source

NFC, NFD = unicodedata.normalize("NFC", "é.png"), unicodedata.normalize("NFD", "é.png")


def test_a_folder_comes_before_its_folders_and_each_in_the_order_of_its_stems(tmp_path: Path) -> None:
    touch(tmp_path, ["b.png", "a/z.JPG", "a/b/c.tiff", "ä ö.webp", "a.png", "a.b.png", "a.jpg", "a-b.png", "Z.png"])
    found = listed(tmp_path)
    assert found.paths == [
        "Z.png",
        "a.jpg",
        "a.png",
        "a-b.png",
        "a.b.png",
        "b.png",
        "ä ö.webp",
        "a/z.JPG",
        "a/b/c.tiff",
    ]
    assert [len(group.sources) for group in found.groups] == [7, 1, 1]
    assert all(group.closed for group in found.groups)
    assert listed(tmp_path) == found


def test_identity_is_the_name_byte_for_byte(tmp_path: Path) -> None:
    names = ["two words.png", "line\nbreak.png", " .png", "a.png", "A.png", "a.jpg", "x" * 251 + ".png", NFC, NFD]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(b"%d" % number)
    if len(os.listdir(tmp_path)) < len(names):
        pytest.skip("this file system takes some of these names for one")
    found = listed(tmp_path)
    assert found.contents() == {name: b"%d" % number for number, name in enumerate(names)}
    assert not found.failures
    assert not found.others


def test_names_that_are_no_utf_8_fail_and_shift_nothing(tmp_path: Path) -> None:
    try:
        for name in (b"a.png", b"x\xff.png", b"y.png", b"z\xff.txt"):
            Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).touch()
        Path(os.fsdecode(bytes(tmp_path) + b"/d\xff")).mkdir()
        Path(os.fsdecode(bytes(tmp_path) + b"/d\xff/b.png")).touch()
    except OSError:
        pytest.skip("this file system takes no such name")
    found = listed(tmp_path)
    assert found.paths == ["a.png", "y.png"]
    assert set(found.failures) == {"x\\xff.png", "d\\xff/b.png"}
    assert "UTF-8" in found.failures["x\\xff.png"]
    assert found.others == ["z\\xff.txt"]


def test_what_is_no_input_is_counted_by_name(tmp_path: Path) -> None:
    touch(tmp_path, ["a.png", "notes.txt", "sub/Makefile", "sub/x.eps", "sub/b.png"])
    found = listed(tmp_path, exclude=("b.*",))
    assert found.paths == ["a.png"]
    assert found.others == ["notes.txt", "sub/Makefile", "sub/b.png", "sub/x.eps"]


def test_hidden_files_and_our_own_partials_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, ["a.png", ".b.png", ".git/c.png", f"d.png{PARTIAL_SUFFIX}", f".e{PARTIAL_SUFFIX}"])
    found = listed(tmp_path)
    assert (found.paths, found.others) == (["a.png"], [])


def test_a_large_folder_is_cut_but_never_between_two_of_one_stem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "_GROUP_FILES", 3)
    touch(tmp_path, ["a.png", "b.png", "c.gif", "c.jpg", "c.old.png", "c.png", "c-1.png", "d.png", "x.png/y.png"])
    found = listed(tmp_path)
    assert [[source.path for source in group.sources] for group in found.groups] == [
        ["a.png", "b.png", "c.gif", "c.jpg", "c.png"],
        ["c-1.png", "c.old.png", "d.png"],
        ["x.png/y.png"],
    ]
    assert found.groups[0].folders == found.groups[1].folders == {"x.png"}
    assert not found.groups[2].folders


def test_where_case_is_not_told_apart_neither_is_it_when_cutting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "_GROUP_FILES", 1)
    monkeypatch.setattr(folder, "_CASELESS", True)
    touch(tmp_path, ["A.jpg", "a.png", "B.png", "c.png"])
    found = listed(tmp_path)
    assert [[source.path for source in group.sources] for group in found.groups] == [
        ["A.jpg", "a.png"],
        ["B.png"],
        ["c.png"],
    ]


def test_links_that_loop_are_harmless(tmp_path: Path) -> None:
    touch(tmp_path, ["a/x.png", "b/y.png"])
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "a/b").symlink_to(tmp_path / "b")
    (tmp_path / "b/a").symlink_to(tmp_path / "a")
    assert listed(tmp_path).paths == ["a/x.png", "b/y.png"]


def test_a_folder_outside_is_followed_once_and_what_leads_back_is_not(tmp_path: Path) -> None:
    touch(tmp_path, ["outside/x.png", "outside/sub/y.png", "in/b/a.png"])
    (tmp_path / "in/two").symlink_to(tmp_path / "outside")
    (tmp_path / "in/a").symlink_to(tmp_path / "outside")
    (tmp_path / "in/sub").symlink_to(tmp_path / "outside/sub")
    (tmp_path / "outside/back").symlink_to(tmp_path / "in")
    assert listed(tmp_path / "in").paths == ["b/a.png", "a/x.png", "a/sub/y.png"]


@pytest.mark.parametrize(
    ("links", "paths", "others"),
    [
        ("follow", ["a.png", "linked.png", "folder/x.png"], []),
        ("files", ["a.png", "linked.png"], ["folder"]),
        ("skip", ["a.png"], ["folder", "linked.png"]),
    ],
)
def test_links_are_followed_as_far_as_asked(tmp_path: Path, links: str, paths: list[str], others: list[str]) -> None:
    touch(tmp_path, ["in/a.png", "outside/x.png"])
    (tmp_path / "in/linked.png").symlink_to(tmp_path / "outside/x.png")
    (tmp_path / "in/folder").symlink_to(tmp_path / "outside")
    found = listed(tmp_path / "in", links=links)
    assert (found.paths, found.others) == (paths, others)


def test_links_that_lead_nowhere_fail_by_their_names(tmp_path: Path) -> None:
    touch(tmp_path, ["a.png"])
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    found = listed(tmp_path)
    assert (found.paths, found.others) == (["a.png"], ["loop"])
    assert found.failures == {
        "gone.png": "it cannot be read: No such file or directory",
        "loop.png": "it cannot be read: Too many levels of symbolic links",
    }


def test_a_pipe_is_neither_listed_nor_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to("pipe.png")
    assert listed(tmp_path).paths == []
    contents = open_contents(find_origin(str(tmp_path)))
    with pytest.raises(ImageError, match="no file but"):
        contents.read(Source(path="pipe.png", bytes=0, stamp=0, file="pipe.png"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_may_not_be_entered_fails_and_the_others_are_listed(tmp_path: Path) -> None:
    touch(tmp_path, ["a/x.png", "b/y.png"])
    (tmp_path / "a").chmod(0)
    try:
        found = listed(tmp_path)
    finally:
        (tmp_path / "a").chmod(0o700)
    assert found.paths == ["b/y.png"]
    assert found.failures == {"a": "the folder cannot be listed: Permission denied"}


def test_a_folder_that_goes_while_it_is_listed_fails_and_the_others_are_listed(tmp_path: Path) -> None:
    touch(tmp_path, ["x.png", "a/x.png", "b/y.png"])
    groups = list_inputs(find_origin(str(tmp_path)), Selection())
    first = next(groups)
    (tmp_path / "a/x.png").unlink()
    (tmp_path / "a").rmdir()
    rest = list(groups)
    assert [source.path for group in (first, *rest) for source in group.sources] == ["x.png", "b/y.png"]
    assert [failure.path for group in rest for failure in group.failures] == ["a"]


def test_listing_is_lazy(tmp_path: Path) -> None:
    touch(tmp_path, ["a.png", "b/x.png"])
    groups = list_inputs(find_origin(str(tmp_path)), Selection())
    assert next(groups).sources[0].path == "a.png"
    touch(tmp_path, ["b/y.png"])
    assert [source.path for source in next(groups).sources] == ["b/x.png", "b/y.png"]


def test_one_file_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "photo ").write_bytes(b"content")
    touch(tmp_path, ["other.png"])
    found = listed(tmp_path / "photo ")
    assert found.contents() == {"photo ": b"content"}
    assert found.groups[0].closed


def test_nothing_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no file or folder"):
        find_origin(str(tmp_path / "missing"))


def test_the_stamp_is_another_where_the_file_is(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1))
    (before,) = listed(tmp_path).sources
    assert listed(tmp_path).sources == [before]
    os.utime(tmp_path / "a.png", ns=(0, before.stamp + 1))
    (after,) = listed(tmp_path).sources
    assert before.stamp != after.stamp


def test_large_files_are_left_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_disk, "LARGE", 10)
    (tmp_path / "large.png").write_bytes(bytes(11))
    (tmp_path / "small.png").write_bytes(bytes(10))
    assert listed(tmp_path).contents() == {"large.png": tmp_path / "large.png", "small.png": bytes(10)}


def test_a_file_that_changes_between_listing_and_reading_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(bytes(10))
    found = listed(tmp_path)
    (tmp_path / "a.png").write_bytes(b"longer than it was")
    assert found.contents() == {"a.png": b"longer than it was"}
    (tmp_path / "a.png").unlink()
    with pytest.raises(ImageError, match=r"^it cannot be read: No such file or directory$"):
        found.contents()
