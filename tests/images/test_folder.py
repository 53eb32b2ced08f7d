from __future__ import annotations

from pathlib import Path

import pytest

from aedeploy.errors import ConfigError, NothingToDoError
from aedeploy.files import PARTIAL_SUFFIX
from aedeploy.images.folder import list_images


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_images_are_found_in_all_folders_and_sorted(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a/z.JPG", "a/b/c.tiff", "ä ö.webp", "a.png", "line\nbreak.png")
    listing = list_images(tmp_path)
    assert listing.images == ("a.png", "a/b/c.tiff", "a/z.JPG", "b.png", "line\nbreak.png", "ä ö.webp")
    assert listing.others == ()


def test_what_is_no_image_by_its_name_is_counted_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "notes.txt", "sub/Makefile", "sub/x.eps")
    listing = list_images(tmp_path)
    assert listing.images == ("a.png",)
    assert listing.others == ("notes.txt", "sub/Makefile", "sub/x.eps")


def test_hidden_files_and_our_own_partials_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", ".b.png", ".git/c.png", f"d.png{PARTIAL_SUFFIX}", f".e{PARTIAL_SUFFIX}")
    listing = list_images(tmp_path)
    assert (listing.images, listing.others) == (("a.png",), ())


def test_links_that_loop_are_harmless(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.png", "b/y.png")
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "a/b").symlink_to(tmp_path / "b")
    (tmp_path / "b/a").symlink_to(tmp_path / "a")
    assert list_images(tmp_path).images == ("a/x.png", "b/y.png")


def test_a_folder_outside_is_followed_and_listed_once(tmp_path: Path) -> None:
    touch(tmp_path, "outside/x.png", "in/a.png")
    (tmp_path / "in/one").symlink_to(tmp_path / "outside")
    (tmp_path / "in/two").symlink_to(tmp_path / "outside")
    assert list_images(tmp_path / "in").images == ("a.png", "one/x.png")


def test_a_link_to_nowhere_is_an_input_that_will_fail(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert list_images(tmp_path).images == ("gone.png",)


def test_a_link_to_itself_is_listed_by_its_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "loop.png").symlink_to("loop.png")
    listing = list_images(tmp_path)
    assert (listing.images, listing.others) == (("a.png", "loop.png"), ("loop",))


def test_one_file_may_have_any_name(tmp_path: Path) -> None:
    touch(tmp_path, "photo", "other.png")
    listing = list_images(tmp_path / "photo")
    assert (listing.root, listing.images, listing.others) == (tmp_path, ("photo",), ())


def test_a_missing_folder_and_one_without_images_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no file or folder"):
        list_images(tmp_path / "missing")
    with pytest.raises(NothingToDoError, match="it is empty"):
        list_images(tmp_path)
    touch(tmp_path, "notes.txt")
    with pytest.raises(NothingToDoError, match=r"1 other files, such as notes.txt"):
        list_images(tmp_path)
