from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from listed_inputs import listed, png

from aedeploy.errors import ConfigError, ImageError
from aedeploy.jobs.sources import _members, _zip, find_origin, open_contents

METHODS = {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2}


def write(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for info, content in members:
            archive.writestr(info, content)
    return path


@pytest.mark.parametrize("method", METHODS)
def test_members_are_listed_and_read(tmp_path: Path, method: str) -> None:
    members = {"a.png": b"one", "b/two words.jpg": png(), "b/é\n.png": b"", "z" * 296 + ".png": os.urandom(300_000)}
    path = write(tmp_path / "x.zip", *members.items(), ("notes.txt", b"text"), (".h.png", b""), method=METHODS[method])
    found = listed(path)
    assert found.contents() == members
    assert found.others == ["notes.txt"]
    assert not found.failures
    assert [source.stamp for source in found.sources] == [zlib.crc32(content) for content in members.values()]
    assert all(source.data is None for source in found.sources)
    assert found.groups[-1].closed


@given(
    members=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/."), min_size=1, max_size=40),
        st.binary(max_size=3000),
        max_size=6,
    ),
    method=st.sampled_from(sorted(METHODS)),
    before=st.binary(max_size=100),
    comment=st.binary(max_size=100),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_archives_are_read_as_zipfile_reads_them(
    tmp_path: Path, members: dict[str, bytes], method: str, before: bytes, comment: bytes
) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", METHODS[method]) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.png", content)
        archive.comment = comment
    # As of an archive that unpacks itself.
    path.write_bytes(before + path.read_bytes())
    assert listed(path).contents() == {f"{name}.png": content for name, content in members.items()}


def test_a_stream_of_unknown_length_is_read(tmp_path: Path) -> None:
    class Unseekable(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: object) -> int:
            raise OSError

        def tell(self) -> int:
            raise OSError

    stream = Unseekable()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", b"content" * 100)
    (tmp_path / "x.zip").write_bytes(stream.getvalue())
    assert listed(tmp_path / "x.zip").contents() == {"a.png": b"content" * 100}


def test_more_members_than_the_old_format_has_numbers_for(tmp_path: Path) -> None:
    count = 66_000
    path = write(tmp_path / "x.zip", *((f"{number}.png", b"") for number in range(count)), method=zipfile.ZIP_STORED)
    with open(path, "rb") as file:
        assert sum(1 for _ in _zip.entries(file)) == count


def test_sizes_of_the_large_format_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive, archive.open("a.png", "w", force_zip64=True) as member:
        member.write(b"content")
    assert listed(tmp_path / "x.zip").contents() == {"a.png": b"content"}
    wide = struct.pack("<HHQQ", 1, 16, 2**33, 5)
    assert _zip._sizes(0xFFFFFFFF, 0xFFFFFFFF, 7, wide) == (2**33, 5, 7)


def test_names_of_other_systems_are_read(tmp_path: Path) -> None:
    # zipfile writes UTF-8 alone: the flag that says so is taken away.
    path = write(tmp_path / "x.zip", ("\u00e9.png", b"1"), method=zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    at = content.rfind(b"PK\1\2")
    content[at + 8 : at + 10] = b"\0\0"
    path.write_bytes(content)
    assert listed(path).contents() == {"\u251c\u2310.png": b"1"}


def test_what_a_hostile_archive_has_leads_nowhere(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.png")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = write(
            tmp_path / "x.zip",
            ("/etc/a.png", b"absolute"),
            ("../b.png", b"above"),
            ("c/../../d.png", b"above too"),
            ("good.png", b"good"),
            ("good.png", b"again"),
            (link, b"/etc/passwd"),
            ("folder.png/", b""),
            ("last.png", b"last"),
        )
    found = listed(path)
    assert found.contents() == {"good.png": b"good", "last.png": b"last"}
    assert set(found.failures) == {"/etc/a.png", "../b.png", "c/../../d.png", "link.png"}
    assert found.others == ["good.png"]


def altered(path: Path, field: int, value: bytes) -> None:
    """Write ``value`` at ``field`` of the first entry of the directory."""
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\1\2")
    content[at + field : at + field + len(value)] = value
    path.write_bytes(content)


def test_what_cannot_be_unpacked_is_told_when_it_is_listed(tmp_path: Path) -> None:
    path = write(tmp_path / "x.zip", ("a.png", b"1"), ("b.png", b"2"))
    altered(path, 8, b"\1\0")
    assert "encrypted" in listed(path).failures["a.png"]
    path = write(tmp_path / "y.zip", ("a.png", b"1"), ("b.png", b"2"), method=zipfile.ZIP_LZMA)
    found = listed(path)
    assert found.paths == []
    assert "number 14" in found.failures["a.png"]


def test_bombs_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.zip", ("a.png", bytes(70 * 2**20)), ("b.png", b"2"))
    found = listed(path)
    assert found.paths == ["b.png"]
    assert "times its size" in found.failures["a.png"]
    monkeypatch.setattr(_members, "LIMIT", 2**20)
    assert "1 GiB" in listed(path).failures["a.png"]


def test_a_bomb_that_says_it_is_small_is_not_unpacked(tmp_path: Path) -> None:
    path = write(tmp_path / "x.zip", ("a.png", bytes(2**24)))
    altered(path, 24, (1000).to_bytes(4, "little"))
    found = listed(path)
    with pytest.raises(ImageError, match="unpacks to more than the archive says"):
        found.contents()


@pytest.mark.parametrize("method", METHODS)
def test_a_content_that_is_altered_is_told(tmp_path: Path, method: str) -> None:
    path = write(tmp_path / "x.zip", ("a.png", os.urandom(1000)), ("b.png", b"2"), method=METHODS[method])
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    found = listed(path)
    contents = open_contents(found.origin)
    with pytest.raises(ImageError, match="archive"):
        contents.read(found.sources[0])
    assert contents.read(found.sources[1]) == b"2"
    contents.close()


@given(data=st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_byte_that_is_altered_never_ends_it_all(tmp_path: Path, data: st.DataObject) -> None:
    path = write(tmp_path / "x.zip", ("a.png", b"a" * 300), ("é.png", b"b" * 300), ("c.png", b"c"))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        found = listed(path)
    except ConfigError:
        return
    contents = open_contents(found.origin)
    for source in found.sources:
        try:
            assert contents.read(source) in (b"a" * 300, b"b" * 300, b"c")
        except ImageError as error:
            assert "\n" not in str(error)  # noqa: PT017
    contents.close()


@given(share=st.floats(0, 0.99))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_archive_without_its_end_is_told(tmp_path: Path, share: float) -> None:
    path = write(tmp_path / "x.zip", ("a.png", b"a" * 300), ("b.png", b"b"))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ConfigError, match="its end is missing"):
        listed(path)


def test_several_archives_each_have_a_folder_and_a_broken_one_fails_alone(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write(tmp_path / f"{name}.zip", ("x.png", name.encode()))
    (tmp_path / "b.zip").write_bytes(b"text")
    found = listed(tmp_path / "{a,b,c}.zip")
    assert found.contents() == {"a/x.png": b"a", "c/x.png": b"c"}
    assert list(found.failures) == ["b"]
    with pytest.raises(ConfigError, match="There is no file"):
        find_origin(str(tmp_path / "none.zip"))
