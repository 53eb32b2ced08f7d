"""Whatever is altered in a Node program's model or golden vectors, its self-test says so, in a sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from embed.node_programs import run, write_node_program

from aedeploy.bundle import Bundle


@pytest.fixture(scope="module")
def program(bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_node_program(bundles["conv"], tmp_path_factory.mktemp("node") / "program")


def digests_corrected(folder: Path, before: dict[Path, bytes]) -> None:
    """Make the contract name the digests and sizes of the files as they are: now only the numbers can tell."""
    contract = (folder / "contract.js").read_text()
    for path, content in before.items():
        if path.exists():
            now = path.read_bytes()
            contract = contract.replace(sha256(content).hexdigest(), sha256(now).hexdigest())
            contract = contract.replace(f'"bytes": {len(content)}', f'"bytes": {len(now)}')
    (folder / "contract.js").write_text(contract)


def golden_value(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def sabotage(folder: Path) -> None:
        from safetensors.numpy import load_file, save_file

        tensors = load_file(folder / "model" / "golden.safetensors")
        tensors[name] = change(tensors[name])
        save_file(tensors, folder / "model" / "golden.safetensors")

    return sabotage


def altered(file: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def sabotage(folder: Path) -> None:
        path = folder / "model" / file
        path.write_bytes(change(path.read_bytes()))

    return sabotage


def one_more(values: np.ndarray) -> np.ndarray:
    changed = values.copy()
    changed.flat[-1] += 1e-3
    return changed


def flipped(content: bytes) -> bytes:
    at = len(content) // 2
    # Four in a row: one of them has the exponent of a weight.
    return content[:at] + bytes(byte ^ 0x40 for byte in content[at : at + 4]) + content[at + 4 :]


def without_a_tensor(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    path = folder / "model" / "golden.safetensors"
    save_file({name: values for name, values in load_file(path).items() if name != "decoder/3/image"}, path)


def another_graph(folder: Path) -> None:
    shutil.copyfile(folder / "model" / "autoencoder.onnx", folder / "model" / "encoder.onnx")


SABOTAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a value": (golden_value("encoder/3/latent", one_more), "failed  encoder, batch 3, latent: its error"),
    "an input": (golden_value("encoder/1/image", lambda image: 1 - image), "failed  encoder, batch 1, latent"),
    "NaN": (golden_value("decoder/1/image", lambda image: image * np.nan), "the golden tensor has NaN"),
    "a shape": (golden_value("decoder/1/image", lambda image: image[..., 1:]), "where the golden one is"),
    "a tensor": (without_a_tensor, "failed  decoder, batch 3: the golden file has no decoder/3/image"),
    "truncated": (altered("golden.safetensors", lambda content: content[:-100]), "The safetensors file is cut off"),
    "emptied": (altered("golden.safetensors", lambda content: b""), "The safetensors file is cut off"),
    "no golden": (lambda folder: (folder / "model" / "golden.safetensors").unlink(), "there is no such file"),
    "a weight": (altered("decoder.onnx", flipped), "failed  decoder, batch 1, image: "),
    "another graph": (another_graph, "failed  encoder, batch 1: the graph gives reconstruction"),
    "no graph any more": (altered("encoder.onnx", lambda content: b"\xff" + content[1:]), "cannot be opened"),
    "no graph": (lambda folder: (folder / "model" / "autoencoder.onnx").unlink(), "there is no such file"),
}


@pytest.mark.parametrize("digests", ["as they were", "corrected"])
@pytest.mark.parametrize("name", SABOTAGES)
def test_sabotage_fails_the_self_test(name: str, digests: str, program: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(program, tmp_path / "program", symlinks=True))
    before = {path: path.read_bytes() for path in (folder / "model").iterdir()}
    sabotage, said = SABOTAGES[name]
    sabotage(folder)
    if digests == "corrected":
        digests_corrected(folder, before)
    found = run(folder, "self-test")
    assert found.returncode == 1
    assert said in found.stdout + found.stderr
    removed = len(list((folder / "model").iterdir())) < len(before)
    assert ("it was altered" in found.stdout) == (digests == "as they were" and not removed)
    assert "Passed" not in found.stdout
    assert found.stderr.count("\n") == found.stderr.count("Error: ") <= 1  # a sentence, no trace


def test_another_models_graph_fails_the_self_test(program: Path, bundles: dict[str, Bundle], tmp_path: Path) -> None:
    """Of the same shapes, so that the numbers alone can tell."""
    folder = Path(shutil.copytree(program, tmp_path / "program", symlinks=True))
    before = {path: path.read_bytes() for path in (folder / "model").iterdir()}
    shutil.copyfile(
        bundles["mlp"].file(bundles["mlp"].graph("encoder", "onnx").file), folder / "model" / "encoder.onnx"
    )
    digests_corrected(folder, before)
    found = run(folder, "self-test")
    assert found.returncode == 1
    assert "failed  encoder, batch 1, latent: its error" in found.stdout
    assert "ok      decoder, batch 1" in found.stdout
