"""The program in Node: it proves itself, reads files as we do, and says what is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from embed.colour import assert_colours_are_kept
from embed.node_programs import run, write_node_program
from PIL import Image

import aedeploy
from aedeploy.bundle import Bundle, open_bundle
from aedeploy.parity.conform import conform
from aedeploy.runtime.program import Program as Started

KINDS = ("mlp", "conv", "gaussian", "vq")

Prove = Callable[..., object]


@pytest.fixture(scope="module")
def program(bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_node_program(bundles["conv"], tmp_path_factory.mktemp("node") / "program")


@pytest.mark.parametrize("kind", KINDS)
def test_it_conforms_and_proves_itself(kind: str, bundles: dict[str, Bundle], prove: Prove, tmp_path: Path) -> None:
    folder = write_node_program(bundles[kind], tmp_path / "program")
    found = run(folder, "self-test")
    assert found.returncode == 0, found.stdout + found.stderr
    # Four files, three graphs at two batch sizes, and the verdict.
    assert len(found.stdout.splitlines()) >= 4 + 3 * 2 + 1
    assert found.stdout.splitlines()[-1].startswith("Passed")
    prove("node", kind, ["node", str(folder / "main.js"), "conform"])


@pytest.mark.parametrize("recipe", ["k-sparse", "conv"])
def test_models_that_choose_and_models_of_any_size(recipe: str, bundles: dict[str, Bundle], tmp_path: Path) -> None:
    folder = write_node_program(bundles[recipe], tmp_path / "program")
    found = run(folder, "self-test")
    assert found.returncode == 0, found.stdout + found.stderr
    report = conform(bundles[recipe], ["node", str(folder / "main.js"), "conform"])
    assert report, report.failures()


def test_other_formats(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    from aedeploy.export import export_bundle

    bundle = open_bundle(shutil.copytree(bundles["conv"].path, tmp_path / "bundle"))
    # After one epoch a model may be too rough for int8's usual bound: what is tested is that its own bound is carried.
    rough = {"onnx-int8:psnr": 20.0, "onnx-int8:norm": 0.5}
    bundle = export_bundle(bundle, ["ort", "onnx-int8"], tolerances=rough).bundle
    for format in ("ort", "onnx-int8"):
        found = run(write_node_program(bundle, tmp_path / format, format), "self-test")
        assert found.returncode == 0, found.stdout + found.stderr
        # Over few images, 3 dB less than over many.
        assert (" dB, at least 17.0" in found.stdout) == (format == "onnx-int8")


def test_colour(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    folder = write_node_program(bundles["standardised-rgb"], tmp_path / "program")
    assert_colours_are_kept(run, folder, bundles["standardised-rgb"], tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_encode_decode_and_reconstruct(kind: str, bundles: dict[str, Bundle], tmp_path: Path) -> None:
    folder = write_node_program(bundles[kind], tmp_path / "program")
    image = tmp_path / "a picture.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (50, 61), dtype=np.uint8)).save(image)
    codec = aedeploy.load(bundles[kind])
    encoded = run(folder, "encode", image)
    assert encoded.returncode == 0, encoded.stderr
    found = {name: np.asarray(values) for name, values in json.loads(encoded.stdout).items()}
    wanted = codec.encode_all([image])
    assert list(found) == list(wanted)
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values[0], rtol=1e-5, atol=1e-5)
    (tmp_path / "latent.json").write_text(encoded.stdout)
    assert run(folder, "decode", tmp_path / "latent.json", tmp_path / "decoded.png").returncode == 0
    assert run(folder, "reconstruct", image, tmp_path / "whole.png").returncode == 0
    pixels = codec.reconstruct([image])[0, :, :, 0].astype(int)
    for name in ("decoded.png", "whole.png"):
        written = Image.open(tmp_path / name)
        assert (written.format, written.mode) == ("PNG", "L")
        assert np.abs(np.asarray(written).astype(int) - pixels).max() <= 1


def kinds_of_pixels(folder: Path) -> list[Path]:
    """One colour picture in every way that a file can hold it, of those that every decoder makes the same of."""
    random = np.random.default_rng(5)
    colours = np.kron(random.integers(0, 256, (9, 12, 4), dtype=np.uint8), np.ones((5, 5, 1), np.uint8))
    image = Image.fromarray(colours)
    rgb = image.convert("RGB")
    image.save(folder / "rgba.png")
    image.save(folder / "rgba.webp", lossless=True, exact=True)
    image.convert("LA").save(folder / "la.png")
    image.convert("1").save(folder / "bilevel.png")
    rgb.save(folder / "rgb.jpg")
    rgb.convert("L").save(folder / "grey.jpg")
    rgb.save(folder / "rgb.tif")
    rgb.save(folder / "hidden.png", transparency=tuple(int(value) for value in colours[0, 0, :3]))
    rgb.quantize(16).save(folder / "palette.png", transparency=3)
    frames = [rgb.quantize(16), rgb.transpose(Image.Transpose.ROTATE_180).quantize(16)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(colours, "CMYK").save(folder / "cmyk.tif")
    deep = (colours[:, :, 0].astype(np.uint16) << 8) | colours[:, :, 1]
    Image.fromarray(deep).save(folder / "deep.png")
    Image.fromarray(deep).save(folder / "deep.tif")
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        rgb.save(folder / f"turned-{orientation}.jpg", exif=exif)
    return sorted(folder.iterdir())


def test_every_kind_of_pixels(program: Path, bundles: dict[str, Bundle], tmp_path: Path) -> None:
    images = kinds_of_pixels(tmp_path)
    command = ["node", str(program / "main.js"), "conform"]
    report = conform(bundles["conv"], command, images=images, image_tolerance=2e-5)
    assert report, report.failures()
    assert [image.passed for image in report.images] == [True] * 22


def test_profiles_are_carried_out(program: Path, bundles: dict[str, Bundle], tmp_path: Path) -> None:
    """Nearly as we do, at 8 and at 16 bits; a profile of another kind of pixels, or a broken one, is none."""
    from PIL import ImageCms

    random = np.random.default_rng(6)
    colours = random.integers(0, 256, (40, 30, 3), dtype=np.uint8)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # sRGB whose red and blue are exchanged: the tags of its primaries have other names.
    swapped = srgb.replace(b"rXYZ", b"tXYZ").replace(b"bXYZ", b"rXYZ").replace(b"tXYZ", b"bXYZ")
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for name, profile in {"srgb": srgb, "swapped": swapped, "lab": lab, "broken": srgb[:60]}.items():
        Image.fromarray(colours).save(tmp_path / f"{name}.png", icc_profile=profile)
    Image.fromarray(colours).save(tmp_path / "none.png")
    command = ["node", str(program / "main.js"), "conform"]
    report = conform(bundles["conv"], command, images=sorted(tmp_path.iterdir()))
    errors = {Path(image.path).stem: (image.max_abs or 0.0) / (image.peak or 1.0) for image in report.images}
    assert len(errors) == 5
    exact = {name: error for name, error in errors.items() if name != "swapped"}
    assert max(exact.values()) <= 1e-5, errors
    codec = aedeploy.load(bundles["conv"])
    moved, stored = codec.encode([tmp_path / "swapped.png", tmp_path / "none.png"])
    assert np.abs(moved - stored).max() / np.abs(moved).max() > 20 * errors["swapped"]


def test_the_protocol_survives_what_is_wrong(program: Path, bundles: dict[str, Bundle], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not an image")
    with Started(["node", str(program / "main.js"), "conform"], timeout=60) as started:
        process = started.process
        with pytest.raises(aedeploy.AedeployError, match="none of JPEG"):
            process.image(broken)
        with pytest.raises(aedeploy.AedeployError, match=r"absent\.png cannot be read: there is no such file"):
            process.image(tmp_path / "absent.png")
        image = tmp_path / "fine.png"
        Image.new("L", (28, 28), 77).save(image)
        wanted = aedeploy.load(bundles["conv"]).encode([image])
        np.testing.assert_allclose(process.image(image)["latent"], wanted, atol=1e-5)
    spoken = subprocess.run(
        ["node", program / "main.js", "conform"], input=b"conform 1\nfly\nrun painter 0\n", capture_output=True
    )
    assert spoken.stdout == b"conform 1\nerror there is no request fly\nskip this model has no painter\n"
    assert (spoken.returncode, spoken.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "Usage: node main.js COMMAND"),
        (["fly"], 2, "Usage"),
        (["toString"], 2, "Usage"),
        (["encode"], 2, "Usage"),
        (["self-test", "more"], 2, "Usage"),
        (["encode", "absent.png"], 1, "absent.png cannot be read: there is no such file."),
        (["encode", "."], 1, ". cannot be read: it is a folder."),
        (["encode", "text.png"], 1, "text.png cannot be read as an image: it is none of JPEG, PNG"),
        (["encode", "empty.png"], 1, "empty.png cannot be read as an image"),
        (["encode", "cut.png"], 1, "cut.png cannot be read as an image"),
        (["encode", "drawing.svg"], 1, "it is none of JPEG, PNG, WebP, GIF, TIFF and AVIF."),
        (["encode", "float.tif"], 1, "its samples are of the type float, for which no range is defined."),
        (["encode", "huge.png"], 1, "Input image exceeds pixel limit"),
        (["decode", "absent.json", "out.png"], 1, "absent.json cannot be read: there is no such file."),
        (["decode", "text.png", "out.png"], 1, "text.png is not JSON: give it what encode printed."),
        (["decode", "short.json", "out.png"], 1, "short.json holds no latent of this model: arrays of numbers, [32],"),
        (["decode", "words.json", "out.png"], 1, "words.json holds no latent of this model"),
        (["decode", "large.json", "out.png"], 1, "large.json holds no latent of this model"),
        (["decode", "fine.json", "out.jpg"], 1, "images are written as PNG"),
        (["decode", "fine.json", "nowhere/out.png"], 1, "nowhere/out.png cannot be written: there is no such folder."),
    ],
)
def test_what_is_wrong_is_said(arguments: list[str], code: int, said: str, program: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_bytes(b"not an image")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    Image.new("L", (60, 60), 3).save(tmp_path / "cut.png", compress_level=0)
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:1000])
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "float.tif")
    if "huge.png" in arguments:
        Image.new("1", (20_000, 5_001)).save(tmp_path / "huge.png")
    for name, values in {"short": [1.0], "words": ["1"] * 32, "large": [1e39] * 32, "fine": [0.5] * 32}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"latent": values}))
    found = run(program, *arguments, cwd=tmp_path)
    assert (found.returncode, found.stdout) == (code, "")
    assert said in found.stderr
    if code == 1:
        assert found.stderr.count("\n") == 1
    assert not (tmp_path / "out.png").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_latent_that_could_not_be_written_is_an_error(program: Path, tmp_path: Path) -> None:
    Image.new("L", (28, 28), 77).save(tmp_path / "fine.png")
    command = ["node", program / "main.js", "encode", tmp_path / "fine.png"]
    with open("/dev/full", "wb") as full:
        found = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (found.returncode, found.stderr) == (1, "Error: ENOSPC: no space left on device, write.\n")


def test_help(program: Path) -> None:
    found = run(program, "--help")
    assert (found.returncode, found.stderr) == (0, "")
    assert "reconstruct IMAGE OUT.png" in found.stdout
