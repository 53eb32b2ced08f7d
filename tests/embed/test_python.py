"""The program in Python: it proves itself, reads files as we do, and says what is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import aedeploy
from aedeploy.bundle import Bundle
from aedeploy.bundle.golden import load_golden
from aedeploy.embed import write_program

Prove = Callable[..., object]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, folder / "main.py", *arguments], capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def program(bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_program("python", bundles["conv"], tmp_path_factory.mktemp("python") / "program").folder


@pytest.mark.parametrize("kind", ["mlp", "conv", "gaussian", "vq"])
def test_it_conforms_and_proves_itself(kind: str, bundles: dict[str, Bundle], prove: Prove, tmp_path: Path) -> None:
    folder = write_program("python", bundles[kind], tmp_path / "program").folder
    found = run(folder, "self-test")
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.count("\nok") >= 9
    prove("python", kind, [sys.executable, str(folder / "main.py"), "conform"])


@pytest.mark.parametrize("recipe", ["k-sparse", "batch-topk", "fsq", "conv"])
def test_models_that_choose_and_models_of_any_size(recipe: str, bundles: dict[str, Bundle], tmp_path: Path) -> None:
    folder = write_program("python", bundles[recipe], tmp_path / "program").folder
    found = run(folder, "self-test")
    assert found.returncode == 0, found.stdout + found.stderr


def test_colour(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    from aedeploy.parity.conform import conform

    folder = write_program("python", bundles["standardised-rgb"], tmp_path / "program").folder
    assert run(folder, "self-test").returncode == 0
    images = tmp_path / "images"
    images.mkdir()
    command = [sys.executable, str(folder / "main.py"), "conform"]
    report = conform(bundles["standardised-rgb"], command, images=kinds_of_pixels(images), image_tolerance=5e-5)
    assert report, report.failures()
    assert all(image.passed for image in report.images)


@pytest.mark.parametrize("format", ["ort", "onnx-fp16", "onnx-int8"])
def test_other_formats(format: str, bundles: dict[str, Bundle], tmp_path: Path) -> None:
    from aedeploy.bundle import open_bundle
    from aedeploy.export import export_bundle

    bundle = open_bundle(shutil.copytree(bundles["conv"].path, tmp_path / "bundle"))
    # After one epoch a model may be too rough for int8's usual bound: what is tested is that its own bound is carried.
    rough = {"psnr": 20.0, "norm": 0.5} if format == "onnx-int8" else None
    bundle = export_bundle(bundle, [format], tolerances=rough).bundle
    folder = write_program("python", bundle, tmp_path / "program", format=format).folder
    found = run(folder, "self-test")
    assert found.returncode == 0, found.stdout + found.stderr
    assert ("all batches" in found.stdout) == (format != "ort")


def test_the_strict_types_of_its_code(program: Path, tmp_path: Path) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), "--explicit-package-bases", "."],
        cwd=program,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout


def test_it_needs_no_aedeploy(program: Path) -> None:
    imports = (
        "import sys; sys.path.insert(0, '.'); import main; print('aedeploy' in sys.modules, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", imports], cwd=program, capture_output=True, text=True)
    assert found.stdout.split() == ["False", "False"], found.stderr


def test_encode_decode_and_reconstruct(program: Path, bundles: dict[str, Bundle], tmp_path: Path) -> None:
    image = tmp_path / "a picture.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (50, 61), dtype=np.uint8)).save(image)
    codec = aedeploy.load(bundles["conv"])
    encoded = run(program, "encode", str(image))
    latent = np.asarray(json.loads(encoded.stdout)["latent"], np.float32)
    np.testing.assert_allclose(latent, codec.encode([image])[0], atol=1e-5)
    (tmp_path / "latent.json").write_text(encoded.stdout)
    assert run(program, "decode", str(tmp_path / "latent.json"), str(tmp_path / "decoded.png")).returncode == 0
    assert run(program, "reconstruct", str(image), str(tmp_path / "whole.png")).returncode == 0
    wanted = codec.reconstruct([image])[0, :, :, 0].astype(int)
    for name in ("decoded.png", "whole.png"):
        assert np.abs(np.asarray(Image.open(tmp_path / name)).astype(int) - wanted).max() <= 1


def kinds_of_pixels(folder: Path) -> list[Path]:
    """One colour picture in every way that a file can hold it."""
    from PIL import ImageCms

    random = np.random.default_rng(5)
    colours = np.kron(random.integers(0, 256, (9, 12, 4), dtype=np.uint8), np.ones((5, 5, 1), np.uint8))
    image = Image.fromarray(colours)
    image.save(folder / "rgba.png")
    image.convert("RGB").save(folder / "rgb.png")
    image.convert("LA").save(folder / "la.png")
    image.convert("RGB").quantize(16).save(folder / "palette.png", transparency=3)
    image.convert("RGB").convert("CMYK").save(folder / "cmyk.jpg")
    image.convert("1").save(folder / "bilevel.png")
    deep = (colours[:, :, 0].astype(np.uint16) << 8) | colours[:, :, 1]
    Image.fromarray(deep).save(folder / "deep.png")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    image.convert("RGB").save(folder / "odd-profile.png", icc_profile=profile.tobytes())
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        image.convert("RGB").save(folder / f"turned-{orientation}.jpg", exif=exif)
    return sorted(folder.iterdir())


def test_every_kind_of_pixels(program: Path, bundles: dict[str, Bundle], tmp_path: Path) -> None:
    from aedeploy.parity.conform import conform

    report = conform(
        bundles["conv"],
        [sys.executable, str(program / "main.py"), "conform"],
        images=kinds_of_pixels(tmp_path),
        image_tolerance=2e-5,
    )
    assert report, report.failures()
    assert len(report.images) == 16
    assert all(image.passed for image in report.images)


def sabotages() -> dict[str, Callable[[Path], None]]:
    def altered_value(folder: Path) -> None:
        golden = folder / "model" / "golden.safetensors"
        content = bytearray(golden.read_bytes())
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
        begin = start + header["encoder/3/latent"]["data_offsets"][0]
        value = np.frombuffer(content[begin : begin + 4], "<f4")[0]
        content[begin : begin + 4] = np.float32(value + 1e-3).tobytes()
        golden.write_bytes(content)

    def not_a_number(folder: Path) -> None:
        golden = folder / "model" / "golden.safetensors"
        content = bytearray(golden.read_bytes())
        start = 8 + int.from_bytes(content[:8], "little")
        begin = start + json.loads(content[8:start])["decoder/1/image"]["data_offsets"][0]
        content[begin : begin + 4] = np.float32("nan").tobytes()
        golden.write_bytes(content)

    def truncated(folder: Path) -> None:
        golden = folder / "model" / "golden.safetensors"
        golden.write_bytes(golden.read_bytes()[:-100])

    def emptied(folder: Path) -> None:
        (folder / "model" / "golden.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")

    def no_golden(folder: Path) -> None:
        (folder / "model" / "golden.safetensors").unlink()

    def other_graph(folder: Path) -> None:
        shutil.copyfile(folder / "model" / "autoencoder.onnx", folder / "model" / "encoder.onnx")

    def flipped_bits(folder: Path) -> None:
        graph = folder / "model" / "decoder.onnx"
        content = bytearray(graph.read_bytes())
        # Many: the lowest bit of one weight alone would change nothing that could be seen.
        middle = len(content) // 2
        content[middle : middle + 1024] = bytes(byte ^ 0x40 for byte in content[middle : middle + 1024])
        graph.write_bytes(content)

    def no_graph(folder: Path) -> None:
        (folder / "model" / "autoencoder.onnx").unlink()

    return {f.__name__: f for f in (
        altered_value, not_a_number, truncated, emptied, no_golden, other_graph, flipped_bits, no_graph
    )}  # fmt: skip


@pytest.mark.parametrize("digests", ["as they were", "of the sabotaged files"])
@pytest.mark.parametrize("name", sabotages())
def test_sabotage_fails_the_self_test(name: str, digests: str, program: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(program, tmp_path / "program"))
    before = {path: sha256(path.read_bytes()).hexdigest() for path in (folder / "model").iterdir()}
    sabotages()[name](folder)
    if digests != "as they were":  # the digests would have found it: now the numbers must
        contract = (folder / "contract.py").read_text()
        for path, digest in before.items():
            if path.exists():
                contract = contract.replace(digest, sha256(path.read_bytes()).hexdigest())
        (folder / "contract.py").write_text(contract)
    found = run(folder, "self-test")
    assert found.returncode == 1
    assert "FAILED" in found.stdout
    assert "Traceback" not in found.stderr


def test_a_case_that_is_missing_is_a_failure(program: Path, bundles: dict[str, Bundle], tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = Path(shutil.copytree(program, tmp_path / "program"))
    golden = folder / "model" / "golden.safetensors"
    tensors = {name: array for name, array in load_file(golden).items() if not name.startswith("decoder/3/")}
    save_file(tensors, golden)
    assert "FAILED  decoder, batch 3: its golden vectors are missing" in run(folder, "self-test").stdout
    assert len(load_golden(bundles["conv"].file(bundles["conv"].manifest.golden))) == 6


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["encode", "absent.png"], 1, "absent.png"),
        (["encode", "."], 1, "Error: .: Is a directory"),
        (["decode", "absent.json", "out.png"], 1, "Error: absent.json: No such file or directory"),
        (["decode", "broken.png", "out.png"], 1, "broken.png is not JSON: give it what encode printed"),
        (["decode", "deep.json", "out.png"], 1, "deep.json is not JSON"),
        (["decode", "short.json", "out.png"], 1, "short.json holds no latent of this model: nested lists of finite"),
        (["decode", "ragged.json", "out.png"], 1, "ragged.json holds no latent of this model"),
        (["decode", "words.json", "out.png"], 1, "words.json holds no latent of this model"),
        (["decode", "large.json", "out.png"], 1, "large.json holds no latent of this model"),
        (["decode", "nan.json", "out.png"], 1, "nan.json holds no latent of this model"),
        (["decode", "other.json", "out.png"], 1, "other.json holds no latent of this model"),
        (["encode", "broken.png"], 1, "cannot identify"),
        (["fly"], 2, "invalid choice"),
        ([], 2, "required"),
    ],
)
def test_what_is_wrong_is_said(arguments: list[str], code: int, said: str, program: Path, tmp_path: Path) -> None:
    latents = {"short": [1, 2], "ragged": [1, [2]], "large": [1e39] * 32, "nan": [float("nan")] * 32}
    for name, latent in {**latents, "words": ["1"] * 32}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"latent": latent}))
    (tmp_path / "other.json").write_text('{"indices": 1}')
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "broken.png").write_bytes(b"not an image")
    command = [sys.executable, str(program / "main.py"), *arguments]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (found.returncode, "Traceback" in found.stderr) == (code, False)
    assert said in found.stderr
    assert code == 2 or found.stderr.count("\n") == 1
    assert not (tmp_path / "out.png").exists()
