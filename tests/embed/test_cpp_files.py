"""What programs in C++ make of image files, sound ones and broken ones, under the sanitizers."""

from __future__ import annotations

import io
import struct
import subprocess
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from embed.cpp_programs import SANITIZED, built_with_sanitizers, write_cpp_program
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from tiny_bundle import write_tiny_bundle

from aedeploy.errors import ImageError
from aedeploy.images.read import read_image


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cpp")
    return write_cpp_program("cpp-onnx", write_tiny_bundle(folder / "tiny"), folder / "program")


@pytest.fixture(scope="module")
def build(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_with_sanitizers(program, tmp_path_factory)


class App:
    """The app, which answers as long as it is asked."""

    def __init__(self, build: Path, command: str) -> None:
        self.process = subprocess.Popen(
            [build / "app", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=SANITIZED
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def resized(self, pixels: np.ndarray, width: int, height: int) -> bytes:
        rows, columns, channels = pixels.shape
        self.stdin.write(f"{columns} {rows} {channels} {width} {height}\n".encode() + pixels.tobytes())
        self.stdin.flush()
        return self.stdout.read(width * height * channels)

    def read(self, path: Path) -> np.ndarray | str:
        """The pixels of a file, or what is wrong with it."""
        self.stdin.write(f"{path}\n".encode())
        self.stdin.flush()
        line = self.stdout.readline().decode()
        assert line, "it crashed"
        if line.startswith("error "):
            return line
        width, height, channels = map(int, line.split())
        pixels = np.frombuffer(self.stdout.read(width * height * channels), np.uint8)
        return pixels.reshape(height, width, channels)

    def end(self) -> None:
        self.stdin.close()
        assert self.process.wait(60) == 0
        self.stdout.close()


@pytest.fixture(scope="module")
def resizing(build: Path) -> Iterator[App]:
    app = App(build, "resize")
    yield app
    app.end()


@pytest.fixture(scope="module")
def reading(build: Path) -> Iterator[App]:
    app = App(build, "pixels")
    yield app
    app.end()


def ours(path: Path, channels: int) -> np.ndarray:
    image = read_image(path, "L" if channels == 1 else "RGB")
    return np.asarray(image).reshape(image.height, image.width, channels)


sides = st.integers(1, 90) | st.integers(1, 1500)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sides, sides, st.integers(1, 64), st.integers(1, 64), st.sampled_from([1, 3]), st.integers(0, 2**32), st.booleans()
)
def test_the_resize_is_pillows_bit_for_bit(
    resizing: App, width: int, height: int, to_width: int, to_height: int, channels: int, seed: int, extreme: bool
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    if extreme:
        pixels = (pixels >> 7) * np.uint8(255)
    image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    wanted = image.resize((to_width, to_height), Image.Resampling.BILINEAR).tobytes()
    assert resizing.resized(pixels, to_width, to_height) == wanted


def lossless_files(folder: Path) -> list[Path]:
    """Every way in which a PNG can hold pixels that Pillow writes."""
    random = np.random.default_rng(5)
    colours = random.integers(0, 256, (45, 60, 4), dtype=np.uint8)
    image = Image.fromarray(colours)
    rgb, grey = image.convert("RGB"), image.convert("L")
    profiles = {
        "srgb": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        "lab": ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
        "broken": b"not a profile",
    }
    deep = Image.fromarray((colours[:, :, 0].astype(np.uint16) << 8) | colours[:, :, 1])
    image.save(folder / "rgba.png")
    rgb.save(folder / "rgb.png")
    grey.save(folder / "grey.png")
    image.convert("LA").save(folder / "la.png")
    rgb.quantize(200).save(folder / "palette.png")
    rgb.quantize(16).save(folder / "transparent-palette.png", transparency=3)
    rgb.save(folder / "transparent-rgb.png", transparency=(1, 2, 3))
    grey.save(folder / "transparent-grey.png", transparency=7)
    image.convert("1").save(folder / "bilevel.png")
    deep.save(folder / "deep.png")
    deep.save(folder / "transparent-deep.png", transparency=int(np.asarray(deep)[0, 0]))
    for name, profile in profiles.items():
        rgb.save(folder / f"profile-{name}.png", icc_profile=profile)
    for name, moved in moving_profiles().items():
        rgb.save(folder / f"profile-{name}.png", icc_profile=moved)
        rgb.quantize(50).save(folder / f"palette-profile-{name}.png", icc_profile=moved)
        grey.save(folder / f"grey-profile-{name}.png", icc_profile=moved)
        deep.save(folder / f"deep-profile-{name}.png", icc_profile=moved)
    for orientation in range(1, 10):
        exif = Image.Exif()
        exif[0x0112] = orientation
        rgb.save(folder / f"turned-{orientation}.png", exif=exif)
    return sorted(folder.iterdir())


def moving_profiles() -> dict[str, bytes]:
    """Profiles that mean other colours than sRGB: of linear light, one of RGB and one of grey."""
    xyz = {b"rXYZ": (0.4361, 0.2225, 0.0139), b"gXYZ": (0.3851, 0.7169, 0.0971), b"bXYZ": (0.1431, 0.0606, 0.7141)}
    curve = struct.pack(">4s4xIH2x", b"curv", 1, 256)
    white = struct.pack(">4s4x3i", b"XYZ ", *(round(v * 65536) for v in (0.9642, 1.0, 0.8249)))
    colours = {key: struct.pack(">4s4x3i", b"XYZ ", *(round(v * 65536) for v in value)) for key, value in xyz.items()}
    rgb = {b"wtpt": white, **colours, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    return {"rgb": _profile(b"RGB ", rgb), "grey": _profile(b"GRAY", {b"wtpt": white, b"kTRC": curve})}


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    at, table, data = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += struct.pack(">4sII", name, at + len(data), len(value))
        data += value
    size = 128 + len(table) + len(data)
    white = (round(v * 65536) for v in (0.9642, 1.0, 0.8249))
    header = struct.pack(">I4xI4s4s4s12x4s28x3i", size, 0x02100000, b"mntr", space, b"XYZ ", b"acsp", *white)
    return header.ljust(128, b"\0") + table + data


def test_png_files_give_the_same_bytes(reading: App, tmp_path: Path) -> None:
    moved = 0
    for path in lossless_files(tmp_path):
        found = reading.read(path)
        assert not isinstance(found, str), found
        wanted = ours(path, found.shape[2])
        assert np.array_equal(found, wanted), path.name
        with Image.open(path) as image:
            moved += "profile" in path.name and not np.array_equal(np.asarray(image.convert("RGB")), ours(path, 3))
    assert moved >= 4  # the profiles mean something


@pytest.mark.parametrize("folder", ["pngsuite", "hostile"])
def test_files_of_all_sorts(folder: str, reading: App, shared_data: Path) -> None:
    """None crashes it; of the PNG files that both read, the pixels are the same."""
    same = 0
    for path in sorted(path for path in (shared_data / folder).rglob("*") if path.is_file()):
        found = reading.read(path)
        if isinstance(found, str):
            assert "cannot be read as an image: " in found
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                wanted = ours(path, found.shape[2])
            except ImageError:
                continue  # broken, and nothing that the pixels hang on
        # ImageMagick writes EXIF as text, others the orientation as XMP: these are not read, as README.md says.
        if path.suffix == ".png" and "orientation" not in path.stem:
            assert np.array_equal(found, wanted), path.name
            same += 1
    assert same > 50


def test_photographs(reading: App, photos: list[Path]) -> None:
    """JPEG decoders differ by a few levels in brightness and, where colours are stored at half the size, by more."""
    for path in photos:
        found = reading.read(path)
        assert not isinstance(found, str), found
        wanted = ours(path, found.shape[2])
        assert found.shape == wanted.shape
        assert np.abs(found.astype(int) - wanted).mean() < 0.3, path.name
        luma = np.asarray(Image.fromarray(found.squeeze()).convert("L")).astype(int)
        assert np.abs(luma - ours(path, 1)[:, :, 0]).max() <= 8, path.name


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_is_upright(orientation: int, reading: App, tmp_path: Path) -> None:
    ramp = np.add.outer(np.arange(48) * 2, np.arange(64)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(ramp).save(tmp_path / "turned.jpg", exif=exif, quality=98)
    found = reading.read(tmp_path / "turned.jpg")
    assert not isinstance(found, str)
    assert found.shape[:2] == ((48, 64) if orientation <= 4 else (64, 48))
    assert np.abs(found.astype(int) - ours(tmp_path / "turned.jpg", 1)).max() <= 2


def test_cmyk_is_read_where_its_colours_are_known(reading: App, tmp_path: Path) -> None:
    image = Image.fromarray(np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)).convert("RGB").convert("CMYK")
    image.save(tmp_path / "adobe.jpg", quality=98)
    found = reading.read(tmp_path / "adobe.jpg")
    assert not isinstance(found, str)
    assert np.abs(found.astype(int) - ours(tmp_path / "adobe.jpg", 3)).max() <= 2
    image.save(tmp_path / "profile.jpg", icc_profile=b"whatever it says")
    assert "it is a CMYK JPEG whose colours this program does not know" in str(reading.read(tmp_path / "profile.jpg"))
    content = (tmp_path / "adobe.jpg").read_bytes()
    (tmp_path / "plain.jpg").write_bytes(content.replace(b"Adobe", b"Nobody"[:5]))
    assert "it is a CMYK JPEG whose colours this program does not know" in str(reading.read(tmp_path / "plain.jpg"))


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(np.random.default_rng(2).integers(0, 256, (16, 24, 3), dtype=np.uint8))
    options = (
        {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"} if kind != "PNG" else {}
    )
    image.save(buffer, kind.partition(" ")[0], progressive=kind.endswith("progressive"), **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "JPEG progressive"])
def test_a_file_that_is_cut_off_is_refused(kind: str, reading: App, tmp_path: Path) -> None:
    content = encoded(kind)
    for length in range(0, len(content) - 2, 3):
        path = tmp_path / "cut.png"
        path.write_bytes(content[:length])
        assert "cannot be read as an image" in str(reading.read(path)), length


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "JPEG progressive"])
def test_a_damaged_file_is_refused_or_read_and_never_crashes(kind: str, reading: App, tmp_path: Path) -> None:
    content, random = encoded(kind), np.random.default_rng(3)
    for _ in range(400):
        damaged = bytearray(content)
        for at in random.integers(0, len(content), random.integers(1, 4)):
            damaged[at] = random.integers(0, 256)
        (tmp_path / "damaged").write_bytes(damaged)
        found = reading.read(tmp_path / "damaged")
        assert isinstance(found, np.ndarray) or "cannot be read as an image" in found
        assert kind != "PNG" or isinstance(found, str) or damaged == content  # by its checksums


def test_an_image_too_large_is_refused_before_it_takes_memory(reading: App, tmp_path: Path) -> None:
    Image.new("L", (1, 1)).save(tmp_path / "bomb.png")
    content = bytearray((tmp_path / "bomb.png").read_bytes())
    content[16:24] = struct.pack(">II", 60_000, 60_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "bomb.png").write_bytes(content)
    assert "no more than 100 million are decoded" in str(reading.read(tmp_path / "bomb.png"))


def test_a_batch_is_what_its_images_are_alone(build: Path, program: Path, lossless: list[Path]) -> None:
    command = [build / "app", "batch", program / "model", *lossless]
    found = subprocess.run(command, capture_output=True, text=True, env=SANITIZED)
    assert found.returncode == 0, found.stderr
    assert float(found.stdout) <= 1e-5
