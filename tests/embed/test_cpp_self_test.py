"""The self-test of the programs in C++: sabotage of any file fails it, by its digest and by what it computes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from embed.cpp_programs import TARGETS, Programs, built, run

from aedeploy.bundle import Bundle

SUFFIXES = {"cpp-onnx": "onnx", "cpp-libtorch": "pt"}


@pytest.fixture(scope="module")
def build(bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return Programs(bundles, tmp_path_factory)


@pytest.fixture(scope="module", params=TARGETS)
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def altered(golden: Path, name: str, value: float) -> None:
    content = bytearray(golden.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    begin = start + json.loads(content[8:start])[name]["data_offsets"][0]
    content[begin : begin + 4] = np.float32(np.frombuffer(content[begin : begin + 4], "<f4")[0] + value).tobytes()
    golden.write_bytes(content)


def without(golden: Path, prefix: str) -> None:
    from safetensors.numpy import load_file, save_file

    save_file({name: array for name, array in load_file(golden).items() if not name.startswith(prefix)}, golden)


GOLDEN_SABOTAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a value": (
        lambda golden: altered(golden, "encoder/3/latent", 1e-3),
        "encoder, batch 3, latent: its error 1.00e-03 is above the tolerance",
    ),
    "no number": (
        lambda golden: altered(golden, "decoder/1/image", np.nan),
        "decoder, batch 1, image: the golden one has NaN or infinity",
    ),
    "an input": (
        lambda golden: altered(golden, "autoencoder/1/image", 0.5),
        "autoencoder, batch 1, reconstruction: its error",
    ),
    "a case": (
        lambda golden: without(golden, "decoder/3/"),
        "decoder, batch 3: the golden file has no decoder/3/latent",
    ),
    "cut off": (
        lambda golden: golden.write_bytes(golden.read_bytes()[:-100]),
        "golden.safetensors is damaged: it is cut off",
    ),
    "emptied": (
        lambda golden: golden.write_bytes((2).to_bytes(8, "little") + b"{}"),
        "the golden file has no encoder/1/image",
    ),
    "gone": (
        lambda golden: golden.unlink(),
        "golden.safetensors cannot be read: No such file",
    ),
}


@pytest.mark.parametrize("name", GOLDEN_SABOTAGES)
def test_a_sabotaged_golden_file_fails_the_self_test(target: str, name: str, build: Programs, tmp_path: Path) -> None:
    """By its digest, and, since what is in it is compared all the same, by its numbers."""
    sabotage, said = GOLDEN_SABOTAGES[name]
    folder = build(target, "conv")
    model = shutil.copytree(folder / "model", tmp_path / "model")
    sabotage(model / "golden.safetensors")
    found = run(folder, "--model", model, "self-test")
    assert (found.returncode, found.stderr) == (1, "")
    assert "FAILED  golden.safetensors: " in found.stdout
    assert said in found.stdout
    assert found.stdout.splitlines()[-1].startswith("FAILED: ")


def flipped(path: Path) -> None:
    """A bit of each of many bytes: the lowest of one weight alone would change nothing that could be seen."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1024] = bytes(byte ^ 0x40 for byte in content[middle : middle + 1024])
    path.write_bytes(content)


def test_sabotaged_graphs_fail_the_self_test(
    target: str, build: Programs, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """By their digests; and by what they do, where the contract was made to match them."""
    suffix = SUFFIXES[target]
    folder = shutil.copytree(build(target, "conv"), tmp_path / "program", ignore=shutil.ignore_patterns("build"))
    before = {path: sha256(path.read_bytes()).hexdigest() for path in (folder / "model").iterdir()}
    shutil.copyfile(folder / "model" / f"autoencoder.{suffix}", folder / "model" / f"encoder.{suffix}")
    flipped(folder / "model" / f"decoder.{suffix}")
    other = build(target, "mlp") / "model" / f"autoencoder.{suffix}"
    shutil.copyfile(other, folder / "model" / f"autoencoder.{suffix}")

    found = run(build(target, "conv"), "--model", folder / "model", "self-test")
    assert (found.returncode, found.stderr) == (1, "")
    for role in ("encoder", "decoder", "autoencoder"):
        assert f"FAILED  {role}.{suffix}: its SHA-256 is not the contract's" in found.stdout
        assert f"FAILED  {role}, batch 3: it is not run" in found.stdout

    contract = folder / "autoencoder" / "contract.hpp"
    after = {digest: sha256(path.read_bytes()).hexdigest() for path, digest in before.items()}
    text, count = re.subn("[0-9a-f]{64}", lambda digest: after.get(digest[0], digest[0]), contract.read_text())
    assert count == 1 + len(after)  # the bundle's own, and of every file
    contract.write_text(text)
    built(Path(folder), tmp_path_factory)
    found = run(folder, "self-test")
    assert (found.returncode, found.stderr) == (1, "")
    assert f"ok      encoder.{suffix}" in found.stdout
    for role in ("encoder", "decoder", "autoencoder"):
        assert f"FAILED  {role}, batch 3" in found.stdout, found.stdout
    (folder / "model" / f"decoder.{suffix}").unlink()
    assert f"FAILED  decoder.{suffix}: " in run(folder, "self-test").stdout
