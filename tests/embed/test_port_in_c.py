"""examples/port_in_c: a port that computes the layers by itself conforms, and one with a fault does not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.golden import load_golden
from aedeploy.parity.conform import conform
from aedeploy.parity.decisions import compare_all
from aedeploy.runtime.program import ProgramProcess

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "port_in_c"
README = (EXAMPLE / "README.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler: cc")

#: What the kinds of bundles do not have.
RECIPES = {
    "mlp-2d": "normalisation in front and behind, leaky ReLU",
    "deep-mlp": "batch normalisation, dropout, ReLU at the head",
    "vae-2d": "two heads, the second of log σ",
    "contractive": "no hidden layer, sigmoid at the head",
    "denoising": "a spatial latent",
    "kl-conv": "two heads that are spatial",
}


def converted(bundle: Bundle, folder: Path) -> Path:
    """The example's sources, with a bundle's weights."""
    folder.mkdir()
    for name in ("network.h", "network.c", "conform.c"):
        shutil.copy(EXAMPLE / name, folder)
    subprocess.run([sys.executable, "-I", EXAMPLE / "convert.py", bundle.path], cwd=folder, check=True)
    return folder


def built(folder: Path, *more: str) -> Path:
    """The port, by the command of the README, where warnings are errors."""
    command = next(line.split() for line in README.splitlines() if line.strip().startswith("cc "))
    subprocess.run([*command, "-Wconversion", "-Wshadow", "-Werror", *more], cwd=folder, check=True)
    return folder / "port"


@pytest.mark.parametrize("kind", ["mlp", "conv", "gaussian"])
def test_it_conforms(kind: str, bundles: dict[str, Bundle], tmp_path: Path) -> None:
    port = built(converted(bundles[kind], tmp_path / "port"))
    report = conform(bundles[kind], [str(port)])
    assert report, report.failures()
    assert {(result.subject, result.batch) for result in report.results} == {
        (f"onnx {role}", batch) for role in ("encoder", "decoder", "autoencoder") for batch in (1, 3)
    }


def compared(port: Path, bundle: Bundle) -> dict[str, bool]:
    """By output, whether the golden vectors of a bundle agree; it need not be exported."""
    found: dict[str, bool] = {}
    with ProgramProcess([str(port)], timeout=60) as process:
        for case in load_golden(bundle.file(bundle.manifest.golden)):
            for one in compare_all(process.run(case.role, case.inputs), case.outputs, masked=False):
                found[one.output] = found.get(one.output, True) and bool(one)
    return found


@pytest.mark.parametrize("recipe", RECIPES)
def test_it_knows_the_layers_of(recipe: str, trained_bundles: dict[str, Bundle], tmp_path: Path) -> None:
    bundle = trained_bundles[recipe]
    names = {"latent", "image", "reconstruction"} | ({"logvar"} if recipe in ("vae-2d", "kl-conv") else set())
    found = compared(built(converted(bundle, tmp_path / "port")), bundle)
    assert found == dict.fromkeys(names, True)


def test_the_commands_of_the_readme(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    port = built(converted(bundles["mlp"], tmp_path / "port"))
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "black.png")
    command = [
        sys.executable,
        "-m",
        "aedeploy",
        "conform",
        bundles["mlp"].path,
        "--images",
        tmp_path,
        "--json",
        "--",
        port,
    ]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    report = json.loads(found.stdout)
    assert report["passed"] is True
    assert [image["reason"] for image in report["images"]] == ["skipped: it reads no image files"]
    for line in ("python convert.py BUNDLE", "aedeploy conform BUNDLE -- ./port"):
        assert line in README
    # What the page says of the recipe's memory.
    sizes = dict(re.findall(r"#define (\w+) (\d+)\n", (tmp_path / "port" / "sizes.h").read_text(encoding="ascii")))
    assert f"{3 * 4 * int(sizes['LARGEST']) / 1000:.1f} KB of memory" in README
    weights = sum(array.nbytes for array in load_weights(bundles["mlp"]).values())
    assert f"{weights / 1000:.0f} KB of constants" in README


def load_weights(bundle: Bundle) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    found: dict[str, np.ndarray] = load_file(bundle.file(bundle.manifest.weights))
    return found


def edited(text: str, pattern: str, change: Callable[[re.Match[str]], str]) -> str:
    """The text with its one match of a pattern changed."""
    found, count = re.subn(pattern, change, text, flags=re.DOTALL)
    assert count == 1, pattern
    assert found != text
    return found


def of_array(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[str], str]:
    """An array of weights.h changed."""

    def changed(match: re.Match[str]) -> str:
        values = np.array([value.rstrip("f") for value in re.findall(r"[^\s,]+", match[2])], np.float32)
        return match[1] + ", ".join(f"{value!s}f" for value in change(values)) + match[3]

    return lambda text: edited(text, rf"(float {name}\[\d+\] = \{{\n)(.*?)(\}};)", changed)


def one_sign(values: np.ndarray) -> np.ndarray:
    """The largest weight with the other sign."""
    largest = np.arange(values.size) == np.abs(values).argmax()
    return np.where(largest, -values, values)


def transposed(values: np.ndarray) -> np.ndarray:
    """The weights of the first layer [128, 784] as [784, 128]."""
    return values.reshape(128, 784).T.ravel()


def without(layer: str, part: str) -> Callable[[str], str]:
    """The layers of a part without one of them."""

    def change(text: str) -> str:
        return edited(
            text, rf"(struct layer {part}\[\] = \{{.*?)(    \{{{layer}, [^\n]*\n)(.*?\}};)", lambda m: m[1] + m[3]
        )

    return change


@pytest.mark.parametrize(
    ("fault", "fails", "passes"),
    [
        pytest.param(
            of_array("latent_head_0_weight", one_sign), {"encoder", "autoencoder"}, {"decoder"}, id="one sign"
        ),
        pytest.param(
            of_array("trunk_0_weight", transposed), {"encoder", "autoencoder"}, {"decoder"}, id="a transposed weight"
        ),
        pytest.param(without("RELU", "trunk"), {"encoder", "autoencoder"}, {"decoder"}, id="no ReLU in the encoder"),
        pytest.param(without("SIGMOID", "decoder"), {"decoder", "autoencoder"}, {"encoder"}, id="no sigmoid"),
    ],
)
def test_one_with_a_fault_does_not(
    fault: Callable[[str], str], fails: set[str], passes: set[str], bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    folder = converted(bundles["mlp"], tmp_path / "port")
    weights = folder / "weights.h"
    weights.write_text(fault(weights.read_text(encoding="ascii")), encoding="ascii")
    command = [sys.executable, "-m", "aedeploy", "conform", bundles["mlp"].path, "--json", "--", built(folder)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 5
    assert "does not conform" in found.stderr
    judged = {(result["subject"].split()[1], result["passed"]) for result in json.loads(found.stdout)["results"]}
    assert judged == {*((role, False) for role in fails), *((role, True) for role in passes)}


def test_one_that_does_not_clamp_is_found_out(trained_bundles: dict[str, Bundle], tmp_path: Path) -> None:
    # Of a recipe whose output is linear: some pixels are below 0 before the clamp.
    folder = converted(trained_bundles["mlp-2d"], tmp_path / "port")
    source = (folder / "network.c").read_text(encoding="utf-8")
    unclamped = edited(source, r"raw\[i\] < 0\.0f \? .*? : raw\[i\];", lambda match: "raw[i];")
    (folder / "network.c").write_text(unclamped, encoding="utf-8")
    found = compared(built(folder), trained_bundles["mlp-2d"])
    assert found == {"latent": True, "image": False, "reconstruction": False}


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"hello\n", "version 1"),
        (b"conform 2\n", "version 1"),
        (b"conform 1\nwalk encoder 1\n", "neither run nor image"),
        (b"conform 1\nrun encoder 1\ntensor image float32 4 1 1 28 28\n\0\0", "ends too early"),
        (b"conform 1\nrun encoder 1\ntensor image float32 4 99999 99999 99999 1\n", "too large"),
        (b"conform 1\nrun encoder 1\ntensor image float32 99\n", "too many dimensions"),
        (b"conform 1\nrun encoder 2\n", "not one tensor"),
    ],
)
def test_what_is_not_of_the_protocol_ends_it_with_a_reason(
    sent: bytes, reason: str, bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    port = built(
        converted(bundles["mlp"], tmp_path / "port"), "-fsanitize=address,undefined", "-fno-sanitize-recover=all"
    )
    found = subprocess.run([port], input=sent, capture_output=True, check=False)
    assert found.returncode == 1
    assert reason in found.stderr.decode()


def test_what_it_cannot_do_it_says_and_goes_on(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    port = built(converted(bundles["mlp"], tmp_path / "port"))
    sent = (
        b"conform 1\n"
        b"run critic 1\ntensor image uint8 1 2\n\n "  # values that look like the space between words
        b"run encoder 1\ntensor image int64 1 1\n\0\0\0\0\0\0\0\0"
        b"image a b.png\n"
    )
    found = subprocess.run([port], input=sent, capture_output=True, check=True)
    assert found.stdout.decode().splitlines() == [
        "conform 1",
        "skip there is no graph critic",
        "error the encoder takes another tensor than image",
        "skip it reads no image files",
    ]


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        (("recipe", "model", "bottleneck", "name"), "vq", "'vq'"),
        (("recipe", "model", "backbone", "name"), "plain-conv", "'plain-conv'"),
        (("recipe", "model", "backbone", "hidden"), [], "trunk.1.bias"),
        (("latent",), None, "cannot be cut"),
        (("schema_version",), 9, "version 9"),
    ],
)
def test_what_it_does_not_know_is_refused_by_name(
    key: tuple[str, ...], value: Any, word: str, bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    copied = shutil.copytree(bundles["mlp"].path, tmp_path / "copy")
    manifest = json.loads((copied / "bundle.json").read_text(encoding="utf-8"))
    *path, last = key
    within = manifest
    for name in path:
        within = within[name]
    within[last] = value
    (copied / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    (tmp_path / "here").mkdir()
    command = [sys.executable, EXAMPLE / "convert.py", copied]
    found = subprocess.run(command, cwd=tmp_path / "here", capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert word in found.stderr
    assert "Traceback" not in found.stderr
    assert list((tmp_path / "here").iterdir()) == []


def test_weights_that_were_altered_are_refused(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    copied = open_bundle(shutil.copytree(bundles["mlp"].path, tmp_path / "copy"))
    weights = copied.path / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    command = [sys.executable, EXAMPLE / "convert.py", copied.path]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (found.returncode, "is not the file" in found.stderr) == (1, True)
