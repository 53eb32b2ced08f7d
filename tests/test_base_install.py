"""The base package alone, from a wheel in an empty environment: it runs bundles, and no torch exists."""

from __future__ import annotations

import json
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from environments import clean, new_environment, pip, python_of
from PIL import Image
from safetensors.numpy import load_file
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle.shipped import shipped_names

ROOT = Path(__file__).resolve().parents[1]
SIZE = 8


@dataclass(frozen=True)
class Base:
    """An installation of the base package, and a folder to work in."""

    environment: Path
    wheel: Path
    workplace: Path

    @property
    def installed(self) -> Path:
        """The folder of the package."""
        return Path(self.python("import aedeploy; print(aedeploy.__file__)").strip()).parent

    def python(self, program: str) -> str:
        """What a program prints there."""
        done = self._run([python_of(self.environment), "-c", program])
        assert done.returncode == 0, done.stderr
        return done.stdout

    def aedeploy(self, *arguments: str, code: int = 0) -> str:
        """What a command prints on stdout there; it must end with ``code``."""
        done = self._run([python_of(self.environment).with_name("aedeploy"), *arguments])
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def _run(self, command: list[str | Path]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(part) for part in command],
            cwd=self.workplace,
            env={**clean(), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """The base package in an environment of its own, in a folder with a bundle and two images."""
    folder = tmp_path_factory.mktemp("base install")
    pip(["wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT])
    (wheel,) = folder.glob("aedeploy-*.whl")
    environment = new_environment(folder / "environment")
    pip(["install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel], into=environment)
    workplace = folder / "workplace"
    write_tiny_bundle(workplace / "artifacts" / "tiny", denoising=True)
    (workplace / "images" / "deep").mkdir(parents=True)
    for name, pixels in source_images().items():
        Image.fromarray(pixels).save(workplace / "images" / name)
    return Base(environment=environment, wheel=wheel, workplace=workplace)


def source_images() -> dict[str, np.ndarray]:
    """Two images that the low-pass model gives back as they are: a slope, and a constant."""
    slope = np.cos(np.pi * (np.arange(SIZE) + 0.5) / SIZE)
    rows = np.round(127.5 + 100 * np.broadcast_to(slope, (SIZE, SIZE))).astype(np.uint8)
    return {"slope.png": rows, "deep/flat.png": np.full((SIZE, SIZE), 90, np.uint8)}


def pngs(folder: Path) -> dict[str, np.ndarray]:
    """Every PNG below a folder by its relative path."""
    found = sorted(folder.rglob("*.png"))
    return {path.relative_to(folder).as_posix(): np.asarray(Image.open(path)) for path in found}


def test_nothing_of_the_torch_half_is_installed(base: Base) -> None:
    program = "import importlib.util as u; print([n for n in {names} if u.find_spec(n)])"
    names = ["torch", "torchvision", "onnx", "onnxscript", "matplotlib"]
    assert base.python(program.format(names=names)).strip() == "[]"
    assert "environment" in base.python("import aedeploy; print(aedeploy.__file__)")


def test_the_wheel_holds_what_the_package_needs_and_no_more(base: Base) -> None:
    names = set(zipfile.ZipFile(base.wheel).namelist())
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "aedeploy").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    shipped = {
        f"aedeploy/bundles/{path.relative_to(ROOT / 'artifacts').as_posix()}"
        for name in shipped_names()
        for path in (ROOT / "artifacts" / name).rglob("*")
        if path.is_file() and path.name not in ("history.jsonl", "checkpoint.safetensors")
    }
    packed = {name for name in names if ".dist-info/" not in name}
    assert packed == sources | shipped
    assert {f"aedeploy/bundles/{name}/bundle.json" for name in shipped_names()} <= packed
    assert {"aedeploy/py.typed", "aedeploy/recipes/ae.toml", "aedeploy/data/NOTICE.md"} <= packed
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_every_module_outside_the_torch_half_can_be_imported(base: Base) -> None:
    program = """
import importlib, pkgutil, aedeploy
half = ("aedeploy.models", "aedeploy.training", "aedeploy.export", "aedeploy.__main__")
count = 0
def walk(paths, prefix):
    global count
    for module in pkgutil.iter_modules(paths, prefix):
        if module.name.startswith(half):
            continue
        found = importlib.import_module(module.name)
        count += 1
        if module.ispkg:
            walk(found.__path__, module.name + ".")
walk(aedeploy.__path__, "aedeploy.")
print(count)
"""
    assert int(base.python(program)) > 40


@pytest.mark.parametrize(
    "command", ["", "train", "sweep", "export", "encode", "decode", "reconstruct", "denoise", "demo"]
)
def test_help(base: Base, command: str) -> None:
    assert "Usage: aedeploy" in base.aedeploy(*command.split(), "--help")


def test_inspect_gives_the_manifest(base: Base) -> None:
    manifest = json.loads((base.workplace / "artifacts/tiny/bundle.json").read_text())
    assert json.loads(base.aedeploy("inspect", "--json")) == manifest
    assert "graphs/onnx/encoder.onnx" in base.aedeploy("inspect", "tiny")


def test_verify_passes_a_whole_bundle_and_not_an_altered_one(base: Base, tmp_path: Path) -> None:
    assert json.loads(base.aedeploy("verify", "--json"))["passed"] is True
    altered = write_tiny_bundle(tmp_path / "altered")
    with open(altered.path / "graphs/onnx/decoder.onnx", "ab") as stream:
        stream.write(b"\0")
    report = json.loads(base.aedeploy("verify", str(altered.path), "--json", code=5))
    assert report["passed"] is False


def test_list_says_what_is_not_installed(base: Base) -> None:
    rows = {row["name"]: row for row in json.loads(base.aedeploy("list", "backends", "--json"))["backends"]}
    assert rows["onnxruntime"]["installed"] == "yes"
    assert "aedeploy[train]" in rows["torchscript"]["installed"]
    assert {row["name"] for row in json.loads(base.aedeploy("list", "formats", "--json"))["formats"]} >= {
        "onnx",
        "torchscript",
    }


def test_encode_then_decode_gives_the_images_back(base: Base) -> None:
    summary = json.loads(base.aedeploy("encode", "images", "--out", "latents", "--json"))
    assert (summary["ok"], summary["failed"]) == (2, 0)
    table = pq.read_table(base.workplace / "latents")
    latents = dict(zip(table["path"].to_pylist(), table["latent"].to_pylist(), strict=True))
    weight = load_file(base.workplace / "artifacts/tiny/weights.safetensors")["encoder.weight"]
    images = source_images()
    assert latents.keys() == images.keys()
    for name, latent in latents.items():
        expected = (images[name] / np.float32(255)).reshape(1, -1) @ weight
        np.testing.assert_allclose([latent], expected, atol=1e-5)
    summary = json.loads(base.aedeploy("decode", "latents", "--out", "decoded", "--json"))
    assert (summary["ok"], summary["failed"]) == (2, 0)
    same_images(pngs(base.workplace / "decoded"))


def test_a_bundle_is_measured_against_its_golden_vectors(base: Base) -> None:
    answer = json.loads(base.aedeploy("bench", "tiny", "--rounds", "1", "--json"))
    (row,) = answer["rows"]
    assert (row["variant"], row["status"]) == ("onnx", "passed")
    assert answer["reference"] == "golden vectors"
    assert answer["files"] == ["bench.json"]  # and no chart, which needs matplotlib


@pytest.mark.parametrize("command", ["reconstruct", "denoise"])
def test_reconstruct_and_denoise_give_the_images_back(base: Base, command: str) -> None:
    summary = json.loads(base.aedeploy(command, "images", "--out", f"{command}ed", "--bundle", "tiny", "--json"))
    assert (summary["ok"], summary["failed"]) == (2, 0)
    same_images(pngs(base.workplace / f"{command}ed"))


def test_photographs_are_denoised_at_once_by_what_came_with_the_package(base: Base) -> None:
    random = np.random.default_rng(0)
    clean = 40 + np.add.outer(np.arange(90), np.arange(130))[:, :, None] / 2 + np.array([0, 20, 40])
    noisy = np.rint((clean + 25 * random.standard_normal(clean.shape)).clip(0, 255)).astype(np.uint8)
    photos = base.workplace / "photos"
    photos.mkdir()
    Image.fromarray(noisy).save(photos / "colour.png")
    Image.fromarray(noisy[:, :, 0]).save(photos / "grey.png")
    installed = base.installed / "bundles"
    before = {path: path.stat().st_mtime_ns for path in (installed, *installed.rglob("*"))}
    summary = json.loads(base.aedeploy("denoise", "photos", "--out", "clean", "--json"))
    assert (summary["ok"], summary["failed"]) == (2, 0)
    made = pngs(base.workplace / "clean")
    assert {name: image.shape for name, image in made.items()} == {"colour.png": noisy.shape, "grey.png": (90, 130)}
    for image, expected in ((made["colour.png"], clean), (made["grey.png"], clean[:, :, 0])):
        assert np.square(image - expected).mean() < 25**2 / 4
    for name in shipped_names():
        assert json.loads(base.aedeploy("verify", name, "--json"))["passed"] is True
    program = "import aedeploy; print(aedeploy.load('denoiser-color').denoise_image('photos/colour.png').shape)"
    assert base.python(program).strip() == "(90, 130, 3)"
    assert {path: path.stat().st_mtime_ns for path in (installed, *installed.rglob("*"))} == before


def same_images(found: dict[str, np.ndarray]) -> None:
    """Assert that these are the source images, to one grey level."""
    images = source_images()
    assert found.keys() == images.keys()
    for name, pixels in images.items():
        assert np.abs(found[name].astype(int) - pixels).max() <= 1, name


def test_a_bundle_is_loaded_from_python(base: Base) -> None:
    program = "import aedeploy, sys; ae = aedeploy.load('artifacts/tiny'); print(ae.encode(['images/slope.png']).shape)"
    assert base.python(program).strip() == "(1, 16)"


@pytest.mark.parametrize("command", ["train", "export", "parity", "demo"])
def test_what_needs_torch_says_how_to_get_it(base: Base, command: str) -> None:
    answer = json.loads(base.aedeploy(command, "--json", code=1))
    assert answer["error"]["type"] == "MissingDependencyError"
    assert "pip install 'aedeploy[train]'" in answer["error"]["message"]


@pytest.mark.parametrize("command", [["report"], ["plot", "latents"]])
def test_what_draws_says_how_to_get_it(base: Base, command: list[str]) -> None:
    answer = json.loads(base.aedeploy(*command, "--json", code=1))
    assert answer["error"]["type"] == "MissingDependencyError"
    assert "pip install 'aedeploy[pictures]'" in answer["error"]["message"]


def test_every_picture_is_listed(base: Base) -> None:
    assert len(json.loads(base.aedeploy("list", "pictures", "--json"))["pictures"]) >= 16
