"""Image files through the whole serving pipeline, against what anybody would write with Pillow and PyTorch.

Most exports that are wrong in production compute rightly: what differs is the resize, the orientation or the scale in
front of them. So files go through the Codec as they do in a job, and through a few plain lines that share no code with
it but the model's weights.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from aedeploy.bundle import Bundle
from aedeploy.bundle.manifest import SIGMA, ImageContract, Pixels
from aedeploy.errors import AedeployError
from aedeploy.images.pixels import to_bytes
from aedeploy.parity.decisions import OtherChoice, compare_all, rows_decided_otherwise
from aedeploy.parity.expected import Choices
from aedeploy.parity.report import FILE_ENCODED, FILE_RECONSTRUCTED, CaseResult, GraphResult
from aedeploy.parity.tolerances import Tolerances, overrides_of
from aedeploy.runtime.codec import Codec
from aedeploy.runtime.open import backend_of
from aedeploy.runtime.runner import Arrays, GraphRunner

#: Enough to have every orientation among them.
MOST_FILES = 16

#: Pillow's modes of 8 bits, of which everybody's conversion is the same.
_PLAIN_MODES = ("L", "RGB", "LA", "RGBA", "P")


@dataclass(frozen=True, kw_only=True)
class FileCheck:
    """Files, and what Pillow and PyTorch make of them."""

    bundle: Bundle
    reference: Mapping[str, GraphRunner]
    paths: Sequence[Path]
    images_BCHW: np.ndarray
    codes: Arrays | None  # None of a model that cannot be cut
    reconstruction_BCHW: np.ndarray

    def through(
        self,
        variant: tuple[str, Pixels],
        tolerances: Tolerances,
        choices: Choices,
        results: Sequence[GraphResult],
        overrides: Mapping[str, float],
    ) -> list[GraphResult]:
        """The files through the Codec of a variant, where its graphs have shown in ``results`` that they are right."""
        right = {result.role for result in results if result}
        format, pixels = variant
        found = partial(
            GraphResult,
            format=format,
            pixels=pixels,
            backend=backend_of(format),
            tolerances=tolerances,
            overrides=overrides_of(format, overrides),
        )
        checked = []
        with Codec(self.bundle, format=format, pixels=pixels, allow_failed=True) as codec:
            other = None
            if "encoder" in right and self.codes is not None:
                case, other = self._encoded(codec, tolerances, choices)
                checked.append(found(role=FILE_ENCODED, cases=(case,)))
            if "autoencoder" in right:
                checked.append(found(role=FILE_RECONSTRUCTED, cases=(self._reconstructed(codec, tolerances, other),)))
        return checked

    def _encoded(self, codec: Codec, tolerances: Tolerances, choices: Choices) -> tuple[CaseResult, OtherChoice | None]:
        assert self.codes is not None
        try:
            got = codec.encode_all(self.paths, sigma=_sigma(self.bundle))
        except AedeployError as error:
            return self._result(error=str(error)), None
        judge = choices.judge(self.images_BCHW)
        outputs = compare_all(got, self.codes, masked=choices.masked, tolerances=tolerances.on("files"), judge=judge)
        result, other = self._result(outputs=outputs), None
        rows = rows_decided_otherwise(got, self.codes) if result and choices.made else np.zeros(0, bool)
        if rows.any():
            images = self.reference["decoder"].run({"latent": got["latent"][rows]})["image"]
            other = OtherChoice(rows=rows, images=to_bytes(images))
        return result, other

    def _reconstructed(self, codec: Codec, tolerances: Tolerances, other: OtherChoice | None) -> CaseResult:
        try:
            got = {"reconstruction": codec.reconstruct(self.paths, sigma=_sigma(self.bundle))}
        except AedeployError as error:
            return self._result(error=str(error))
        reference = {"reconstruction": to_bytes(self.reconstruction_BCHW)}
        wanted = reference if other is None else other.expected(got, reference)
        return self._result(outputs=compare_all(got, wanted, masked=False, tolerances=tolerances.on("files")))

    def _result(self, **found: object) -> CaseResult:
        return CaseResult(kind="files", batch=len(self.paths), size="of many sizes", **found)  # type: ignore[arg-type]


@contextmanager
def from_files(
    bundle: Bundle,
    reference: Mapping[str, GraphRunner],
    samples_NHWC: np.ndarray,
    files: Sequence[Path] | None,
) -> Iterator[FileCheck]:
    """What files to check, and what is expected of them; of ``files``, or of samples written for the time being."""
    with tempfile.TemporaryDirectory(prefix="aedeploy-parity-") as folder:
        paths = chosen(files) if files else []
        paths = paths or write_files(Path(folder), samples_NHWC)
        image = bundle.manifest.image
        images = np.stack([plain_pixels(path, image) for path in paths])
        inputs = {"image": images}
        sigma = _sigma(bundle)
        if sigma is not None:
            inputs[SIGMA] = np.full((len(images), 1, *images.shape[2:]), sigma, np.float32)
        codes = reference["encoder"].run(inputs) if "encoder" in reference else None
        yield FileCheck(
            bundle=bundle,
            reference=reference,
            paths=paths,
            images_BCHW=images,
            codes=codes,
            reconstruction_BCHW=reference["autoencoder"].run(inputs)["reconstruction"],
        )


def _sigma(bundle: Bundle) -> float | None:
    """How much noise a model is told that there is in files."""
    return None if bundle.manifest.noise is None else bundle.manifest.noise.maximum / 2


def plain_pixels(path: Path, contract: ImageContract) -> np.ndarray:
    """A file as float32 [C, H, W] in [0, 1], in the plainest way there is. The contract in five lines."""
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened).convert(contract.mode)
    image = image.resize((contract.width, contract.height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.float32).reshape(contract.height, contract.width, contract.channels)
    return np.ascontiguousarray((pixels / np.float32(255)).transpose(2, 0, 1))


def chosen(files: Sequence[Path]) -> list[Path]:
    """Of files, those of 8 bits that Pillow opens, turned ones first, up to ``MOST_FILES``."""
    turned: list[Path] = []
    upright: list[Path] = []
    for path in files:
        try:
            with Image.open(path) as image:
                plain = image.mode in _PLAIN_MODES and "transparency" not in image.info
                orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
                image.load()
        except Exception:  # a broken file makes Pillow raise nearly anything, and is no matter of parity
            continue
        if plain and image.format in ("PNG", "JPEG"):
            (upright if orientation == 1 else turned).append(path)
        if len(turned) + len(upright) == 8 * MOST_FILES:
            break
    upright = upright[:: max(1, len(upright) // MOST_FILES)]
    return (turned[: MOST_FILES // 2] + upright)[:MOST_FILES]


def write_files(folder: Path, samples_NHWC: np.ndarray) -> list[Path]:
    """Real images as the files that people have: other sizes, turned, grey and in colour, with alpha; PNG and JPEG."""
    height, width, channels = samples_NHWC.shape[1:]
    kinds = [
        ("png", 1, (width, height)),
        ("png", 6, (width * 2 + 1, height + 3)),
        ("jpg", 1, (width + 5, height * 2)),
        ("jpg", 8, (width * 3, height * 2 + 1)),
        ("png", 3, (max(2, width // 2), height)),
        ("jpg", 5, (width, height + 1)),
        ("png", 2, (width + 1, max(2, height // 2))),
    ]
    paths = []
    for at, (suffix, orientation, size) in enumerate(kinds):
        pixels = samples_NHWC[at % len(samples_NHWC)]
        image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).resize(size, Image.Resampling.BICUBIC)
        if at == 2:
            image = image.convert("RGB" if channels == 1 else "L")
        elif at == 4:
            image.putalpha(128)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        path = folder / f"{at}.{suffix}"
        image.save(path, exif=exif)
        paths.append(path)
    return paths
