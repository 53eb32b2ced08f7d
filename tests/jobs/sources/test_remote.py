from __future__ import annotations

import gzip
import io
import logging
import subprocess
import sys
import tarfile
import threading
import uuid
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from listed_inputs import listed, png

from aedeploy.errors import ConfigError, ImageError, MissingDependencyError
from aedeploy.jobs.sources import (
    Selection,
    _disk,
    _gathering,
    _retrying,
    find_origin,
    list_inputs,
    open_contents,
    remote,
)

fsspec = pytest.importorskip("fsspec")

FILES = {
    "b.png": b"b",
    "a.png": png(),
    "a.jpg": b"a jpeg",
    "sub/c.PNG": b"c",
    "sub/two words/é +%25.png": b"d",
    "notes.txt": b"text",
    ".hidden/x.png": b"x",
    "x.png/y.png": b"y",
}
EXPECTED = ["a.jpg", "a.png", "b.png", "sub/c.PNG", "sub/two words/é +%25.png", "x.png/y.png"]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_retrying, "PAUSES", (0.0, 0.0, 0.0))


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """An S3 server of this machine, over HTTP."""
    pytest.importorskip("s3fs")
    server_of = pytest.importorskip("moto.server")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_of.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["memory", "s3"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty folder."""
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("s3_server"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    bucket = f"s3://{uuid.uuid4().hex}"
    store().mkdir(bucket)
    return f"{bucket}/in"


def store(url: str = "s3://") -> Any:
    return fsspec.filesystem(url.partition("://")[0], use_listings_cache=False)


def put(place: str, files: dict[str, bytes]) -> str:
    for name, content in files.items():
        store(place).pipe_file(f"{place}/{name}", content)
    return place


def tar_of(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def test_a_tree_is_listed_as_a_folder_is(place: str, tmp_path: Path) -> None:
    found = listed(put(place, FILES))
    assert found.paths == EXPECTED
    assert found.others == ["notes.txt"]
    assert not found.failures
    assert found.contents() == {name: FILES[name] for name in EXPECTED}
    assert all(group.closed for group in found.groups)
    assert found.groups[0].folders == {"x.png"}
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    here = listed(tmp_path)
    assert (here.paths, here.others) == (found.paths, found.others)
    assert [source.bytes for source in here.sources] == [source.bytes for source in found.sources]


def test_the_stamp_is_another_where_the_object_is(place: str) -> None:
    put(place, {"a.png": b"one", "b.png": b"one"})
    before = listed(place).sources
    assert listed(place).sources == before
    put(place, {"a.png": b"two"})
    after = listed(place).sources
    assert after[0].stamp != before[0].stamp
    assert after[1].stamp == before[1].stamp


def test_the_stamp_is_the_same_in_every_process(place: str) -> None:
    if place.startswith("memory"):
        pytest.skip("what is in memory is in this process alone")
    put(place, {"a.png": b"one"})
    code = "import sys; from listed_inputs import listed; print(listed(sys.argv[1]).sources[0].stamp)"
    tests = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tests)!r}); {code}", place],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert int(done.stdout) == listed(place).sources[0].stamp


@pytest.mark.parametrize("name", ["photos.tar", "photos.tar.gz", "photos.zip"])
def test_an_archive_is_read_as_a_stream(place: str, name: str) -> None:
    files = {f"{number}.png": bytes([number]) * 5000 for number in range(40)}
    make = {"photos.tar": tar_of, "photos.tar.gz": lambda f: gzip.compress(tar_of(f)), "photos.zip": zip_of}[name]
    put(place, {name: make(files)})
    found = listed(f"{place}/{name}")
    assert found.contents() == files
    assert all(source.data is not None for source in found.sources)


def test_several_archives_each_have_a_folder(place: str) -> None:
    put(place, {f"shards/s-{number:02d}.tar": tar_of({"a.png": b"%d" % number}) for number in range(3)})
    expected = {f"s-{number:02d}/a.png": b"%d" % number for number in range(3)}
    assert listed(f"{place}/shards/s-{{00..02}}.tar").contents() == expected
    assert listed(f"{place}/shards/*.tar").contents() == expected
    with pytest.raises(ConfigError, match=r"s-03\.tar"):
        listed(f"{place}/shards/s-{{00..03}}.tar")


def test_an_archive_that_ends_too_early_keeps_what_is_whole(place: str) -> None:
    put(place, {"x.tar": tar_of({"a.png": b"a" * 600, "b.png": b"b" * 600})[:2200]})
    found = listed(f"{place}/x.tar")
    assert found.contents() == {"a.png": b"a" * 600}
    assert "ends in the middle" in found.failures["b.png"]


def test_one_object_may_have_any_name(place: str) -> None:
    put(place, {"photo": b"content", "other.png": b""})
    assert listed(f"{place}/photo").contents() == {"photo": b"content"}


def test_nothing_there_is_told(place: str) -> None:
    for name in ("none", "none.tar", "none-{1..2}.zip"):
        with pytest.raises(ConfigError, match=f"There is no.* {place.split('://')[0]}://.*/none"):
            find_origin(f"{place}/{name}")


def test_the_selection_holds(place: str) -> None:
    put(place, FILES)
    found = listed(place, include=("sub/**",), exclude=("c.*",))
    assert found.paths == ["sub/two words/é +%25.png"]
    assert sorted(found.others) == ["a.jpg", "a.png", "b.png", "notes.txt", "sub/c.PNG", "x.png/y.png"]


def test_a_large_folder_is_cut_but_never_between_two_of_one_stem(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "GROUP_FILES", 1)
    put(place, {"a.jpg": b"", "a.png": b"", "b.png": b""})
    assert [[source.path for source in group.sources] for group in listed(place).groups] == [
        ["a.jpg", "a.png"],
        ["b.png"],
    ]


def test_an_object_that_goes_is_told_by_its_name(place: str) -> None:
    put(place, {"a.png": b"a", "b.png": b"b"})
    found = listed(place)
    store(place).rm_file(f"{place}/a.png")
    contents = open_contents(found.origin)
    with pytest.raises(ImageError, match="no such object"):
        contents.read(found.sources[0])
    assert contents.read(found.sources[1]) == b"b"


def test_what_memory_has_no_room_for_is_not_read(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(place, {"a.png": bytes(11), "b.png": bytes(10)})
    found = listed(place)
    monkeypatch.setattr(remote, "LIMIT", 10)
    contents = open_contents(found.origin)
    with pytest.raises(ImageError, match="1 GiB"):
        contents.read(found.sources[0])
    assert contents.read(found.sources[1]) == bytes(10)


def test_threads_read_at_once(place: str) -> None:
    files = {f"{number}.png": b"%d" % number for number in range(40)}
    found = listed(put(place, files))
    read: dict[str, Any] = {}

    def work(part: int) -> None:
        contents = open_contents(found.origin)
        read.update({source.path: contents.read(source) for source in found.sources[part::4]})
        contents.close()

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == files


class Flaky:
    """Fails every other time, as networks do."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self.failed = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.failed += 1
        if self.failed % 2:
            raise ConnectionResetError("the network\nfailed")
        return self.real(*args, **kwargs)


def test_what_fails_for_a_moment_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

    place = put(f"memory://{uuid.uuid4().hex}", {"t/a.png": b"a", "x.tar": tar_of({"b.png": b"b" * 9000})})
    flaky = {name: Flaky(getattr(MemoryFileSystem, name)) for name in ("ls", "cat_file", "info")}
    for name, call in flaky.items():
        monkeypatch.setattr(MemoryFileSystem, name, lambda self, *args, _call=call, **kw: _call(self, *args, **kw))
    read = Flaky(MemoryFile.read)
    monkeypatch.setattr(MemoryFile, "read", lambda self, *args: read(self, *args))
    assert listed(f"{place}/t").contents() == {"a.png": b"a"}
    assert listed(f"{place}/x.tar").contents() == {"b.png": b"b" * 9000}
    assert all(call.failed > 1 for call in (*flaky.values(), read))


def test_what_fails_for_good_is_one_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    place = put(f"memory://{uuid.uuid4().hex}", {"a.png": b"a", "sub/b.png": b"b"})
    found = listed(place)

    def fail(*args: object, **kwargs: object) -> None:
        raise ConnectionResetError("the network\nfailed")

    monkeypatch.setattr(MemoryFileSystem, "cat_file", fail)
    with pytest.raises(ImageError, match=r"^it cannot be read: the network failed$"):
        found.contents()
    groups = list_inputs(found.origin, Selection())
    assert next(groups).sources[0].path == "a.png"
    monkeypatch.setattr(MemoryFileSystem, "ls", fail)
    assert next(groups).failures[0].path == "sub"


def test_what_is_not_known_or_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        find_origin("nowhere://a/b")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'aedeploy\[remote\]'"):
        find_origin("s3://bucket/in")


def test_credentials_that_are_not_there_are_told_at_once(
    s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    store().clear_instance_cache()
    with pytest.raises(ConfigError, match="credentials"):
        find_origin(f"s3://{uuid.uuid4().hex}/in")


class Web(SimpleHTTPRequestHandler):
    """Gives files whole, as many servers do; lets nobody have secret.tar; and breaks off once within torn.tar."""

    asked: list[str]  # for torn.tar

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        if name == "secret.tar":
            self.send_error(403)
        elif name == "torn.tar" and len(self.asked) < 2:
            self.asked.append(name)
            content = Path(self.translate_path(self.path)).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
        else:
            super().do_GET()

    def do_HEAD(self) -> None:
        if self.path.endswith("secret.tar"):
            self.send_error(403)
        else:
            super().do_HEAD()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The URL of a web server's folder, which is ``tmp_path``."""
    pytest.importorskip("aiohttp")
    handler = type("Once", (Web,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(tmp_path)))
    thread = threading.Thread(target=partial(server.serve_forever, 0.01))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_over_http_there_are_archives_and_files(web: str, tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(tar_of({"a.png": b"a" * 9000}))
    (tmp_path / "b.png").write_bytes(b"b")
    assert listed(f"{web}/x.tar").contents() == {"a.png": b"a" * 9000}
    assert listed(f"{web}/b.png").contents() == {"b.png": b"b"}
    with pytest.raises(ConfigError, match="no listing of folders"):
        find_origin(f"{web}/")
    for name in ("none.png", "none.tar", "none-{0..1}.tar"):
        with pytest.raises(ConfigError, match=f"There is no.* {web}/none"):
            find_origin(f"{web}/{name}")


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.zip", "torn.tar"])
def test_a_web_server_need_not_give_parts_of_an_archive(
    web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(remote, "_BLOCK", 1000)
    files = {f"{number}.png": bytes([number]) * 30_000 for number in range(5)}
    content = zip_of(files) if name.endswith("zip") else tar_of(files)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    found = listed(f"{web}/{name}")
    assert not found.failures
    assert found.contents() == files


def test_a_web_server_that_refuses_or_is_not_there_is_told_as_that(web: str) -> None:
    with pytest.raises(ConfigError, match=r"secret\.tar cannot be reached .*refuses it: 403"):
        find_origin(f"{web}/secret.tar")
    with pytest.raises(ConfigError, match=r"cannot be reached .*[Cc]onnect"):
        find_origin("http://127.0.0.1:9/x.tar")


def test_groups_of_streams_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gathering, "GROUP_BYTES", 1000)
    place = put(f"memory://{uuid.uuid4().hex}", {"x.zip": zip_of({f"{n}.png": bytes(300) for n in range(10)})})
    assert [len(group.sources) for group in listed(f"{place}/x.zip").groups] == [4, 4, 2]


def test_limits_are_those_of_files() -> None:
    assert remote.LIMIT == _disk.LIMIT == 2**30
