from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from listed_inputs import listed, png

from aedeploy.errors import ConfigError, ImageError
from aedeploy.jobs.sources import (
    Selection,
    _archives,
    _gathering,
    _members,
    find_origin,
    list_inputs,
    load_source,
    open_contents,
)

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".tar": bytes,
    ".tar.gz": gzip.compress,
    ".tgz": lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:]),
    ".tar.bz2": bz2.compress,
    ".tar.xz": lzma.compress,
    ".tar.zst": lambda data: pa.compress(data, "zstd", asbytes=True),
}


def tar_of(*members: tuple[str | tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def special(name: str, type: bytes, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = type, link
    return info, b""


def write(path: Path, *members: tuple[str | tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = next(suffix for suffix in sorted(PACKED, key=len, reverse=True) if path.name.endswith(suffix))
    path.write_bytes(PACKED[suffix](tar_of(*members, format=format)))
    return path


@pytest.mark.parametrize("suffix", PACKED)
def test_members_are_listed_and_read(tmp_path: Path, suffix: str) -> None:
    members = {"./a.png": b"one", "b/two words.jpg": png(), "b/é\n.png": b"", "x" * 296 + ".png": b"four" * 400}
    path = write(tmp_path / f"photos{suffix}", *members.items(), ("notes.txt", b"text"), (".hidden.png", b""))
    found = listed(path)
    expected = {name.removeprefix("./"): content for name, content in members.items()}
    assert found.contents() == expected
    assert found.paths == list(expected)
    assert found.others == ["notes.txt"]
    assert not found.failures
    # What lies in a plain archive is read where it lies.
    assert all((source.data is None) == (suffix == ".tar") for source in found.sources)
    assert found.groups[-1].closed


@pytest.mark.parametrize("format", FORMATS)
@given(
    names=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60), max_size=8),
    data=st.data(),
)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_archives_are_read_as_tarfile_reads_them(
    tmp_path: Path, format: str, names: list[str], data: st.DataObject
) -> None:
    paths = [f"f/{number}/{name}.png".replace("\0", "") for number, name in enumerate(names)]
    members = [(path, data.draw(st.binary(max_size=1500))) for path in paths]
    try:
        content = tar_of(*members, format=FORMATS[format])
    except ValueError:  # what ustar has no room for
        return
    path = tmp_path / "x.tar"
    path.write_bytes(content)
    with tarfile.open(path) as archive:
        theirs = {
            "/".join(part for part in member.name.split("/") if part not in ("", ".")): file.read()
            for member in archive
            if (file := archive.extractfile(member))
            and not any(part.startswith(".") for part in member.name.split("/") if part != ".")
        }
    found = listed(path)
    assert found.contents() == {name: content for name, content in theirs.items() if ".." not in name.split("/")}


@pytest.mark.skipif(shutil.which("tar") is None, reason="there is no tar here")
@pytest.mark.parametrize("format", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_archives_of_the_real_tar_are_read(tmp_path: Path, format: str) -> None:
    source = tmp_path / "in"
    (source / "folder").mkdir(parents=True)
    names = ["a.png", "folder/b.png"] + (
        ["folder/" + "y" * 140 + ".png"] if format in ("oldgnu", "gnu", "posix") else []
    )
    for name in names:
        (source / name).write_bytes(name.encode())
    made = subprocess.run(
        ["tar", f"--format={format}", "-cf", tmp_path / "x.tar", "."], cwd=source, capture_output=True
    )
    if made.returncode:
        pytest.skip("this tar has no such format")
    assert listed(tmp_path / "x.tar").contents() == {name: name.encode() for name in names}


def test_a_sparse_file_is_told_and_the_next_one_is_read(tmp_path: Path) -> None:
    if shutil.which("tar") is None:
        pytest.skip("there is no tar here")
    source = tmp_path / "in"
    source.mkdir()
    with open(source / "a.png", "wb") as file:
        for place in range(40):  # more holes than the first header has room for
            file.seek(place * 2**20)
            file.write(b"x" * 4096)
    (source / "b.png").write_bytes(b"b")
    for format in ("gnu", "posix"):
        made = subprocess.run(
            ["tar", "-S", f"--format={format}", "-cf", tmp_path / f"{format}.tar", "a.png", "b.png"],
            cwd=source,
            capture_output=True,
        )
        if made.returncode:
            pytest.skip("this tar knows no sparse files")
        found = listed(tmp_path / f"{format}.tar")
        if "a.png" in found.paths:
            pytest.skip("this file system has no holes")
        assert "sparse" in found.failures["a.png"]
        assert found.contents() == {"b.png": b"b"}


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_what_a_hostile_archive_has_leads_nowhere(tmp_path: Path, suffix: str) -> None:
    path = write(
        tmp_path / f"x{suffix}",
        ("/etc/a.png", b"absolute"),
        ("../b.png", b"above"),
        ("c/../../d.png", b"above too"),
        ("good.png", b"good"),
        ("good.png", b"again"),
        ("./good.png", b"and again"),
        special("link.png", tarfile.SYMTYPE, "/etc/passwd"),
        special("hard.png", tarfile.LNKTYPE, "good.png"),
        special("device.png", tarfile.CHRTYPE),
        special("pipe.png", tarfile.FIFOTYPE),
        special("folder.png", tarfile.DIRTYPE),
        special("link.txt", tarfile.SYMTYPE, "/etc/passwd"),
        ("last.png", b"last"),
    )
    found = listed(path)
    assert found.contents() == {"good.png": b"good", "last.png": b"last"}
    assert set(found.failures) == {
        "/etc/a.png",
        "../b.png",
        "c/../../d.png",
        "link.png",
        "hard.png",
        "device.png",
        "pipe.png",
    }
    assert found.others == ["good.png", "good.png", "link.txt"]


def test_names_that_are_no_utf_8_fail(tmp_path: Path) -> None:
    found = listed(write(tmp_path / "x.tar", ("x\udcff.png", b"1"), ("b.png", b"2"), format=tarfile.GNU_FORMAT))
    assert found.paths == ["b.png"]
    assert list(found.failures) == ["x\\xff.png"]


@pytest.mark.parametrize("suffix", PACKED)
@given(share=st.floats(0.01, 0.99))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_archive_that_is_cut_off_keeps_what_is_whole(tmp_path: Path, suffix: str, share: float) -> None:
    members = {f"{number}.png": os.urandom(700 + number) for number in range(12)}
    path = write(tmp_path / f"x{suffix}", *members.items())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    try:
        found = listed(path)
    except ConfigError:  # nothing of it could be read
        return
    read = found.contents()
    assert list(read) == list(members)[: len(read)]
    assert all(members[name] == content for name, content in read.items())
    assert len(found.failures) == 1 or len(read) == len(members)


def test_an_archive_that_is_cut_off_between_two_members_is_a_failure(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tar", *((f"{number}.png", b"a" * 700) for number in range(4)))
    path.write_bytes(path.read_bytes()[: 2 * (512 + 1024)])
    found = listed(path)
    assert found.paths == ["0.png", "1.png"]
    (reason,) = found.failures.values()
    assert "ends without the mark of its end" in reason


def test_a_header_that_is_damaged_ends_that_archive_alone(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / f"{name}.tar", ("a.png", b"a" * 512), ("b.png", b"b"))
    content = bytearray((tmp_path / "one.tar").read_bytes())
    content[1024 + 5] ^= 1
    (tmp_path / "one.tar").write_bytes(content)
    found = listed(tmp_path / "*.tar")
    assert found.paths == ["one/a.png", "two/a.png", "two/b.png"]
    assert list(found.failures) == ["one"]
    assert "checksum" in found.failures["one"]
    assert [group.closed for group in found.groups] == [True, True]


def test_what_is_no_archive_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(png() * 20)
    with pytest.raises(ConfigError, match="no tar archive"):
        listed(tmp_path / "x.tar")
    (tmp_path / "x.tar").write_bytes(b"")
    with pytest.raises(ConfigError, match="is empty"):
        listed(tmp_path / "x.tar")
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(b"text" * 500))
    with pytest.raises(ConfigError, match="no tar archive"):
        listed(tmp_path / "x.tar.gz")
    with pytest.raises(ConfigError, match="There is no file"):
        find_origin(str(tmp_path / "none.tar"))


@given(place=st.integers(0, 4095), value=st.integers(0, 255))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_byte_that_is_altered_never_ends_it_all(tmp_path: Path, place: int, value: int) -> None:
    long = tarfile.TarInfo("é" * 80 + ".png")
    content = bytearray(tar_of(("a.png", b"a" * 300), (long, b"b" * 300), ("c.png", b"c")))
    content[place] = value
    (tmp_path / "x.tar").write_bytes(content)
    try:
        found = listed(tmp_path / "x.tar")
    except ConfigError:
        return
    assert len(found.contents()) <= 3


def test_headers_of_any_size_are_not_believed(tmp_path: Path) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2**33
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(10_000)))
    with pytest.raises(ConfigError, match=r"extended header of 8,589,934,592 bytes"):
        listed(tmp_path / "x.tar.gz")
    negative = bytearray(tarfile.TarInfo("a.png").tobuf(tarfile.GNU_FORMAT))
    negative[124:136] = b"\xff" * 12
    negative[148:156] = b" " * 8
    negative[148:156] = b"%06o\0 " % sum(negative)
    (tmp_path / "x.tar").write_bytes(negative + bytes(1024))
    with pytest.raises(ConfigError, match="negative size"):
        listed(tmp_path / "x.tar")


def test_a_member_that_memory_has_no_room_for_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_members, "LIMIT", 100)
    for suffix in (".tar", ".tar.gz"):
        found = listed(write(tmp_path / f"x{suffix}", ("a.png", bytes(101)), ("b.png", bytes(100))))
        assert found.paths == ["b.png"]
        assert "1 GiB" in found.failures["a.png"]


def test_a_stream_is_held_by_few_bytes_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gathering, "GROUP_BYTES", 1000)
    path = write(tmp_path / "x.tar.gz", *((f"{number}.png", bytes(300)) for number in range(10)))
    found = listed(path)
    assert [len(group.sources) for group in found.groups] == [4, 4, 2]
    # Members of one name may be anywhere in it.
    assert not any(group.closed for group in found.groups)
    # What was read before is not read again before it can be worked on.
    assert next(iter(list_inputs(find_origin(str(path)), Selection()))).sources == found.groups[0].sources


def test_several_archives_each_have_a_folder(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"shards/s-{number:03d}.tar", ("a.png", b"%d" % number))
    expected = {f"s-{number:03d}/a.png": b"%d" % number for number in range(3)}
    assert listed(tmp_path / "shards/s-{000..002}.tar").contents() == expected
    assert listed(tmp_path / "shards/*.tar").contents() == expected
    with pytest.raises(ConfigError, match=r"s-003\.tar"):
        listed(tmp_path / "shards/s-{000..003}.tar")


def test_an_archive_may_be_called_like_a_pattern(tmp_path: Path) -> None:
    assert listed(write(tmp_path / "[a]{1..2}.tar", ("a.png", b"1"))).contents() == {"a.png": b"1"}


def test_what_an_archive_is_packed_with_is_seen_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(gzip.compress(tar_of(("a.png", b"1"))))
    assert listed(tmp_path / "x.tar").contents() == {"a.png": b"1"}


def test_a_folder_may_be_called_like_an_archive(tmp_path: Path) -> None:
    (tmp_path / "x.tar").mkdir()
    (tmp_path / "x.tar/a.png").write_bytes(b"1")
    assert listed(tmp_path / "x.tar").contents() == {"a.png": b"1"}


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_the_stamp_is_another_where_the_member_is(tmp_path: Path, suffix: str) -> None:
    def stamp(content: bytes, mtime: int) -> int:
        info = tarfile.TarInfo("a.png")
        info.mtime = mtime
        return listed(write(tmp_path / f"x{suffix}", (info, content))).sources[0].stamp

    assert stamp(b"1", 1) == stamp(b"1", 1)
    assert stamp(b"1", 1) != stamp(b"2", 2)


def test_the_selection_holds_for_members(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tar.gz", ("a/a.png", b""), ("b/b.png", b""))
    assert listed(path, include=("b/*",)).paths == ["b/b.png"]


def test_an_archive_that_was_cut_since_is_told_by_each_member(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tar", ("a.png", bytes(2000)), ("b.png", bytes(2000)))
    found = listed(path)
    os.truncate(path, 1000)
    contents = open_contents(found.origin)
    for source in found.sources:
        with pytest.raises(ImageError, match="ends in the middle"):
            contents.read(source)
    contents.close()
    path.unlink()
    with pytest.raises(ImageError, match="No such file"):
        found.contents()


def test_every_suffix_is_claimed_once() -> None:
    tar, zip_ = load_source("tar"), load_source("zip")
    for suffix in _archives.SUFFIXES:
        assert tar.claims(f"x{suffix.upper()}") is not zip_.claims(f"x{suffix}")
    assert not tar.claims("s3://x.tar")
