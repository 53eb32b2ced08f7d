"""docs/embedding.md is enough: an implementation of that page alone agrees with ours, and its examples are right."""

from __future__ import annotations

import io
import json
import math
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from embed import specified_page as page
from embed import specified_program
from embed.specified import (
    Decoded,
    RefusedError,
    Tensor,
    coefficients,
    float32,
    golden_cases,
    grey,
    image_input,
    in_mode,
    read_file,
    read_manifest,
    read_safetensors,
    resized,
    to_byte,
    to_image,
    upright,
)
from embed.specified_png import decode_png
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import load, save_file
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle.golden import load_golden
from aedeploy.errors import BackendError
from aedeploy.images.geometry import Geometry
from aedeploy.images.pixels import to_bytes, to_floats
from aedeploy.images.read import read_image
from aedeploy.runtime.program import ProgramProcess, SkippedError

ROOT = page.PAGE.parents[1]
SCHEMA_KEYS = frozenset(json.loads((ROOT / "docs" / "bundle.schema.json").read_text(encoding="utf-8"))["properties"])
ORIENTATION = 0x0112


class TestThePage:
    def test_lists_the_targets_as_they_are(self) -> None:
        assert page.targets(page.TEXT) == page.TEXT, "run  python tests/embed/specified_page.py  and commit the page"
        said = [row[1] for row in page.table(page.TEXT[page.TEXT.index("| target |") :].partition("\n\n")[0])]
        assert all(said), "a target has nothing said of it: write that into the table"

    def test_has_a_place_for_the_figures(self) -> None:
        begin, end = (page.TEXT.index(f"<!-- figures: {word} -->") for word in ("begin", "end"))
        assert begin < end

    def test_shows_a_safetensors_file(self) -> None:
        content = page.dumped(page.example("safetensors"))
        assert len(content) == 155
        tensors = read_safetensors(content)
        assert tensors == {
            "decoder/1/latent": Tensor("float32", (1, 2), (0.5, -2.0)),
            "samples": Tensor("uint8", (1, 1, 3, 1), (0, 127, 255)),
        }
        theirs = load(content)
        assert {name: (array.shape, array.ravel().tolist()) for name, array in theirs.items()} == {
            name: (tensor.shape, list(tensor.values)) for name, tensor in tensors.items()
        }

    def test_shows_the_weights_of_a_row(self) -> None:
        ours = coefficients(5, 2)
        for row, (first, weights) in zip(page.table(page.example("weights")), ours, strict=True):
            place, centre, begins, ends, heights, written = row
            assert (int(begins), [int(weight) for weight in written.split()]) == (first, weights)
            assert int(ends) == first + len(weights)
            assert float(centre) == (int(place) + 0.5) * 2.5
            expected = [1 - abs((at - float(centre) + 0.5) * 0.4) for at in range(first, int(ends))]
            assert [float(height) for height in heights.split()] == pytest.approx(expected)
        values = (10, 20, 40, 80)
        total = 2097152 + sum(value * weight for value, weight in zip(values, ours[0][1], strict=True))
        assert f"= {total} >> 22 = {total >> 22}, and new[1] = 94" in page.TEXT
        line = Image.fromarray(np.array([[10, 20, 40, 80, 160]], np.uint8))
        assert list(line.resize((2, 1), Image.Resampling.BILINEAR).tobytes()) == [total >> 22, 94] == [24, 94]

    @pytest.mark.parametrize("vector", page.lines_of_json(page.example("resizes")))
    def test_shows_vectors_that_hold_for_both(self, vector: dict) -> None:
        decoded = Decoded(
            vector["kind"], 255, vector["width"], vector["height"], vector["samples"], orientation=vector["orientation"]
        )
        image = resized(upright(in_mode(decoded, vector["mode"]), vector["orientation"]), *target(vector))
        assert list(image.samples) == vector["bytes"]
        channels = 3 if vector["kind"] == "rgb" else 1
        stored = np.array(vector["samples"], np.uint8).reshape(vector["height"], vector["width"], channels)
        content = as_png(Image.fromarray(stored if channels == 3 else stored[:, :, 0]), vector["orientation"])
        assert list(ours(content, vector["mode"], *target(vector)).ravel()) == vector["bytes"]

    def test_shows_bytes_and_grey_and_other_single_numbers(self) -> None:
        for value, byte in page.table(page.example("bytes")):
            assert to_byte(float32(float(value))) == int(byte)
            assert int(to_bytes(np.full((1, 1, 1, 1), value, np.float32))[0, 0, 0, 0]) == int(byte)
        assert f"(200, 100, 50) → {grey(200, 100, 50)}" in page.TEXT
        sixteen = in_mode(Decoded("grey", 65535, 3, 1, (128, 129, 32768)), "L").samples
        assert "128 → {}, 129 → {}, 32768 → {}".format(*sixteen) in page.TEXT
        half = np.float32(128) / np.float32(255)
        assert f"128 is {half!s}, in bytes `{half.tobytes().hex(' ')}`" in page.TEXT
        assert struct.unpack("<f", bytes.fromhex("81 80 00 3f"))[0] == half


def target(vector: dict) -> tuple[int, int]:
    return vector["to_width"], vector["to_height"]


def as_png(image: Image.Image, orientation: int = 1) -> bytes:
    exif, content = Image.Exif(), io.BytesIO()
    exif[ORIENTATION] = orientation
    image.save(content, "PNG", exif=exif)
    return content.getvalue()


def ours(content: bytes, mode: str, width: int, height: int) -> np.ndarray:
    return Geometry(mode=mode, height=height, width=width).apply(read_image(content, mode))  # type: ignore[arg-type]


class TestFiles:
    def test_manifest_and_golden_vectors_are_read_as_we_read_them(self, tmp_path: Path) -> None:
        bundle = write_tiny_bundle(tmp_path / "tiny", gaussian=True)
        manifest = read_manifest(bundle.path, SCHEMA_KEYS)
        cases = golden_cases(read_safetensors(read_file(bundle.path, manifest["golden"])))
        known = load_golden(bundle.path / "golden.safetensors")
        assert cases.keys() == {(case.role, case.batch) for case in known}
        for case in known:
            for name, array in {**case.inputs, **case.outputs}.items():
                tensor = cases[case.role, case.batch][name]
                assert (tensor.dtype, tensor.shape) == (str(array.dtype), array.shape)
                assert list(tensor.values) == array.ravel().tolist()

    @pytest.mark.parametrize(
        "change",
        [
            {"schema_version": 3},
            {"surprise": 1},
            {"golden": {"path": "../golden.safetensors"}},
            {"golden": {"bytes": 1}},
        ],
    )
    def test_what_must_be_refused_is_refused(self, change: dict, tmp_path: Path) -> None:
        bundle = write_tiny_bundle(tmp_path / "tiny")
        manifest = json.loads((bundle.path / "bundle.json").read_text(encoding="utf-8"))
        for key, value in change.items():
            manifest[key] = {**manifest[key], **value} if isinstance(value, dict) else value
        (bundle.path / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
        with pytest.raises(RefusedError):
            read_file(bundle.path, read_manifest(bundle.path, SCHEMA_KEYS)["golden"])

    def test_a_link_that_leads_out_of_the_bundle_is_refused(self, tmp_path: Path) -> None:
        bundle = write_tiny_bundle(tmp_path / "tiny")
        shutil.move(bundle.path / "golden.safetensors", tmp_path / "elsewhere")
        (bundle.path / "golden.safetensors").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(RefusedError, match="out of the bundle"):
            read_file(bundle.path, read_manifest(bundle.path, SCHEMA_KEYS)["golden"])

    @pytest.mark.parametrize("length", [4, 100, 150])
    def test_a_safetensors_file_that_is_cut_short_is_refused(self, length: int) -> None:
        with pytest.raises(RefusedError):
            read_safetensors(page.dumped(page.example("safetensors"))[:length])


KINDS = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
SIDES = st.integers(1, 48)


def picture(kind: str, width: int, height: int, seed: int) -> Image.Image:
    random = np.random.default_rng(seed)
    channels = {"LA": 2, "RGB": 3, "RGBA": 4}.get(kind)
    if kind == "I;16":
        return Image.fromarray(random.integers(0, 65536, (height, width), dtype=np.uint16))
    if kind == "1":
        return Image.fromarray(random.integers(0, 2, (height, width)).astype(bool))
    if channels:
        return Image.fromarray(random.integers(0, 256, (height, width, channels), dtype=np.uint8))
    image = Image.fromarray(random.integers(0, 256, (height, width), dtype=np.uint8))
    if kind == "P":
        image.putpalette(random.integers(0, 256, 768, dtype=np.uint8).tobytes())
    return image


class TestPixels:
    @settings(max_examples=300, deadline=None)
    @given(
        kind=st.sampled_from(KINDS),
        mode=st.sampled_from(("L", "RGB")),
        size=st.tuples(SIDES, SIDES),
        to=st.tuples(SIDES, SIDES),
        orientation=st.integers(1, 8),
        seed=st.integers(0, 2**32 - 1),
    )
    def test_a_file_becomes_the_same_bits(
        self, kind: str, mode: str, size: tuple[int, int], to: tuple[int, int], orientation: int, seed: int
    ) -> None:
        content = as_png(picture(kind, *size, seed), orientation)
        found = image_input(decode_png(content), {"mode": mode, "width": to[0], "height": to[1]})
        wanted = to_floats(ours(content, mode, *to)[np.newaxis])
        assert (found.dtype, found.shape) == (str(wanted.dtype), wanted.shape)
        assert list(found.values) == wanted.ravel().tolist()

    # What a photograph does: reduced by far, in both orders of the passes.
    @pytest.mark.parametrize(("size", "first"), [((300, 200), "across"), ((60, 400), "down")])
    def test_a_large_one_too(self, size: tuple[int, int], first: str) -> None:
        width, height = size
        assert (height - 28 > 2 * (width - 28)) == (first == "down")
        content = as_png(picture("RGB", width, height, 5))
        found = image_input(decode_png(content), {"mode": "L", "width": 28, "height": 28})
        assert list(found.values) == to_floats(ours(content, "L", 28, 28)[np.newaxis]).ravel().tolist()

    @settings(max_examples=300, deadline=None)
    @given(byte=st.integers(0, 255), steps=st.integers(-3, 3), half=st.booleans())
    def test_a_value_becomes_the_same_byte_also_beside_an_edge(self, byte: int, steps: int, half: bool) -> None:
        value = np.float32((byte + half / 2) / 255)
        for _ in range(abs(steps)):
            value = np.nextafter(value, np.float32(math.copysign(9, steps)))
        value = np.clip(value, np.float32(0), np.float32(1))
        assert to_byte(float(value)) == int(to_bytes(value.reshape(1, 1, 1, 1))[0, 0, 0, 0])

    def test_an_image_comes_back_with_its_channels_side_by_side(self) -> None:
        values = np.random.default_rng(0).random((3, 4, 5), np.float32)
        image = to_image(values.ravel().tolist(), 3, 4, 5)
        assert list(image.samples) == to_bytes(values[np.newaxis]).ravel().tolist()


@pytest.fixture
def golden_of_the_dialogue(tmp_path: Path) -> Path:
    tensors = {
        "encoder/1/image": np.array([[[[0, 0.25], [0.5, 1]]]], np.float32),
        "encoder/1/latent": np.array([[0.125, 0.75]], np.float32),
    }
    save_file(tensors, tmp_path / "golden.safetensors")
    return tmp_path / "golden.safetensors"


class TestTheDialogue:
    turns = page.dialogue(page.example("dialogue"))

    def test_a_program_that_follows_the_page_answers_so(self, golden_of_the_dialogue: Path) -> None:
        command = [sys.executable, specified_program.__file__, golden_of_the_dialogue]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin
            assert process.stdout
            for speaker, said in self.turns:
                if speaker == ">":
                    process.stdin.write(said)
                    process.stdin.flush()
                else:
                    assert process.stdout.read(len(said)) == said
            process.stdin.close()
            assert process.stdout.read() == b""
        assert process.returncode == 0

    def test_our_runner_sends_and_understands_these_bytes(self, tmp_path: Path) -> None:
        # A program that says what the page says, and keeps what it was sent.
        script = tmp_path / "replay.py"
        script.write_text(
            f"import sys\nkept = open({str(tmp_path / 'kept')!r}, 'wb', 0)\n"
            f"for speaker, said in {self.turns!r}:\n"
            "    if speaker == '>':\n        kept.write(sys.stdin.buffer.read(len(said)))\n"
            "    else:\n        sys.stdout.buffer.write(said)\n        sys.stdout.flush()\n",
            encoding="utf-8",
        )
        image = np.array([[[[0, 0.25], [0.5, 1]]]], np.float32)
        with ProgramProcess([sys.executable, str(script)], timeout=30) as process:
            found = process.run("encoder", {"image": image})
            with pytest.raises(SkippedError, match="there is no graph autoencoder"):
                process.run("autoencoder", {"image": image})
            with pytest.raises(SkippedError, match="reads no image files"):
                process.image(Path("/photos/käse.png"))
            with pytest.raises(BackendError):
                process.run("encoder", {"image": image})
        assert found.keys() == {"latent"}
        assert (found["latent"].dtype, found["latent"].tolist()) == (np.float32, [[0.125, 0.75]])
        assert (tmp_path / "kept").read_bytes() == b"".join(said for speaker, said in self.turns if speaker == ">")
