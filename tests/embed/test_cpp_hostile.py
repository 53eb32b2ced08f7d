"""Golden files and requests that were made to harm: programs in C++ say a sentence, under the sanitizers."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path

import pytest
from embed.cpp_programs import SANITIZED, built_with_sanitizers, write_cpp_program
from tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cpp")
    return write_cpp_program("cpp-onnx", write_tiny_bundle(folder / "tiny"), folder / "program")


@pytest.fixture(scope="module")
def build(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_with_sanitizers(program, tmp_path_factory)


def golden_of(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(**changed: object) -> dict[str, object]:
    return {"encoder/1/image": {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4], **changed}}


HOSTILE_GOLDENS = {
    "empty": b"",
    "seven bytes": b"1234567",
    "a huge header": golden_of({}, length=2**64 - 1),
    "a header beyond the file": golden_of({}, length=3),
    "no JSON": golden_of(b"{"),
    "no object": golden_of([1, 2]),
    "nested": golden_of(b"[" * 1_000_000),
    "not UTF-8": golden_of(b'{"\xff": 1}'),
    "a huge shape": golden_of(tensor(shape=[2**62, 4])),
    "a product that wraps around": golden_of(tensor(shape=[2**32, 2**32, 2**32, 2**32], data_offsets=[0, 0])),
    "a length beyond 64 bits": golden_of(tensor(shape=[2**64])),
    "a negative length": golden_of(tensor(shape=[-1, -4])),
    "a fraction": golden_of(tensor(shape=[1.5]), b"1234"),
    "offsets beyond": golden_of(tensor(data_offsets=[0, 2**63]), b"1234"),
    "offsets backwards": golden_of(tensor(data_offsets=[4, 0]), b"1234"),
    "negative offsets": golden_of(tensor(data_offsets=[-4, 0]), b"1234"),
    "one offset": golden_of(tensor(data_offsets=[0]), b"1234"),
    "no offsets": golden_of({"encoder/1/image": {"dtype": "F32", "shape": [1]}}, b"1234"),
    "too few bytes": golden_of(tensor(shape=[2]), b"1234"),
    "another dtype": golden_of(tensor(dtype="BF16"), b"1234"),
    "no tensor": golden_of({"encoder/1/image": 7}),
    "a rank of none": golden_of(tensor(shape=[]), b"1234"),
    "another rank": golden_of(tensor(shape=[1, 1]), b"1234"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_GOLDENS)
def test_a_hostile_golden_file_fails_with_a_sentence(name: str, build: Path, program: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for graph in (program / "model").glob("*.onnx"):
        (model / graph.name).symlink_to(graph)
    (model / "golden.safetensors").write_bytes(HOSTILE_GOLDENS[name])
    command = [build / "autoencoder" / "autoencoder", "--model", model, "self-test"]
    found = subprocess.run(command, capture_output=True, text=True, env=SANITIZED, timeout=120)
    assert (found.returncode, found.stderr) == (1, "")
    assert found.stdout.splitlines()[-1].startswith("FAILED: ")


def request(shape: str, values: bytes, line: str = "run encoder 1") -> bytes:
    return f"{line}\ntensor image float32 {shape}\n".encode() + values


HOSTILE_REQUESTS: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 0, ""),
    "another greeting": (b"conform 2\n", 1, "'conform 1', 'run ROLE COUNT' or 'image PATH' was due"),
    "no line break": (b"conform 1", 1, "ends with a line break"),
    "a line without an end": (b"x" * 100_000, 1, "has at most 8190 bytes"),
    "bytes": (bytes(range(256)), 1, "was due"),
    "another role": (b"run painter 1\n", 1, "'run ROLE COUNT' was due"),
    "a huge count": (b"run encoder 99999999999999999999\n", 1, "'run ROLE COUNT' was due"),
    "too many tensors": (b"run encoder 17\n", 1, "'run ROLE COUNT' was due"),
    "no tensor": (b"run encoder 1\n", 1, "'tensor NAME DTYPE RANK D0 …' was due"),
    "a huge tensor": (request("4 1 1 4 99999999999", b""), 1, "was due, and not 'tensor image"),
    "a product that wraps around": (request("4 4294967296 4294967296 1 1", b""), 1, "was due, and not 'tensor image"),
    "a tensor that never comes": (request("4 1000 1 1000 1000", b"1234"), 1, "The input ended within a tensor."),
    "a negative length": (request("4 1 1 -28 -28", b""), 1, "was due, and not 'tensor image"),
    "a huge rank": (request("9 1 1 1 1 1 1 1 1 1", b"1234"), 1, "was due, and not 'tensor image"),
    "a rank that is another": (request("3 1 1 28 28", b""), 1, "was due, and not 'tensor image"),
    "words": (request("4 1 1 28 x28", b""), 1, "was due, and not 'tensor image"),
    "another dtype": (b"run encoder 1\ntensor image float64 1 1\n12345678", 1, "was due, and not 'tensor image"),
}


@pytest.mark.parametrize("name", HOSTILE_REQUESTS)
def test_what_is_not_the_protocol_ends_the_program(name: str, build: Path, program: Path) -> None:
    sent, code, said = HOSTILE_REQUESTS[name]
    found = conversation(build, program, sent)
    assert found.returncode == code
    assert found.stdout in (b"", b"conform 1\n")
    assert said in found.stderr.decode()
    assert len(found.stderr.splitlines()) == (1 if said else 0)


def conversation(build: Path, program: Path, sent: bytes) -> subprocess.CompletedProcess[bytes]:
    command = [build / "autoencoder" / "autoencoder", "--model", program / "model", "conform"]
    return subprocess.run(command, input=sent, capture_output=True, env=SANITIZED, timeout=120)


def test_a_request_that_cannot_be_answered_does_not_end_it(build: Path, program: Path) -> None:
    zeros = bytes(4 * 8 * 8)
    sent = b"conform 1\n"
    sent += request("4 1 1 8 7", zeros[: 4 * 8 * 7])
    sent += request("2 8 8", zeros)
    sent += request("4 0 1 8 8", b"")
    sent += b"run encoder 0\n"
    sent += b"run encoder 1\ntensor latent uint8 1 3\nabc"
    sent += b"image /nowhere/at all.png\n"
    sent += request("4 1 1 8 8", zeros)
    found = conversation(build, program, sent)
    assert (found.returncode, found.stderr) == (0, b"")
    answers = found.stdout.split(b"\n")
    assert answers[0] == b"conform 1"
    assert all(answer.startswith(b"error The encoder takes ") for answer in answers[1:6]), answers
    assert answers[6] == b"error /nowhere/at all.png cannot be read: No such file or directory."
    assert answers[7:9] == [b"ok 1", b"tensor latent float32 2 1 16"]
