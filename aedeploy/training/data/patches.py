"""Patches of a folder's images, made smaller: clean pixels to learn denoising from, out of photographs that are not.

A photograph has the noise of its sensor and the traces of its compression. Shrunk to a half or less, antialiased,
it has hardly any: a pixel is then the mean of four or more.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from aedeploy.bundle import DataRecord
from aedeploy.config import Config
from aedeploy.data.digest import PixelDigest
from aedeploy.data.split import held_out_count, held_out_indices, split_rule
from aedeploy.errors import ConfigError, ImageError, NothingToDoError, TrainingError
from aedeploy.images.colour import Mode
from aedeploy.images.read import quiet_pillow, read_image
from aedeploy.runtime.cores import available_cores
from aedeploy.training.data.folder import images_in, in_order, listed
from aedeploy.training.data.source import Data, DataRequest, Source, data_name
from aedeploy.training.memory import available_memory, gibibytes

Shrinking = Annotated[int, Field(ge=1, le=16)]

# A model is judged on as many patches of held-out images as this, at most.
_MOST_HELD_OUT = 1024
_SEED = 20_26


class PatchConfig(Config):
    """Patches of the images of a folder, made smaller, in place of whole images brought to one size."""

    size: int = Field(default=64, ge=8, le=1024, description="Pixels a side.")
    count: int = Field(default=32_000, ge=1, description="Patches of an epoch, at places that stay the same.")
    # Not strict: of TOML it comes as a list.
    shrink: tuple[Shrinking, ...] = Field(
        default=(2, 3, 4), strict=False, min_length=1, description="By how much: every image once by each."
    )
    color: Literal["auto", "grey", "rgb"] = Field(default="rgb", description="Where --color does not say; auto: rgb.")
    record_files: bool = Field(default=False, description="Whether the manifest names the files.")


class Patches:
    """Patches at fixed places of images of many sizes, each turned and mirrored in one of eight ways.

    Places are drawn evenly over all pixels, by a seed: the same for the same images.
    """

    def __init__(self, images_HWC: Sequence[np.ndarray], size: int, count: int) -> None:
        self._images, self._size = images_HWC, size
        rng = np.random.default_rng(_SEED)
        free = np.array([(image.shape[0] - size + 1, image.shape[1] - size + 1) for image in images_HWC])
        places = free.prod(1)
        self._chosen = rng.choice(len(images_HWC), count, p=places / places.sum())
        self._corners = (rng.random((count, 2)) * free[self._chosen]).astype(np.int64)
        self._ways = rng.integers(0, 8, count)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self._images[0].shape[2], self._size, self._size

    def __len__(self) -> int:
        return len(self._chosen)

    def batches(self, order: Iterable[Tensor]) -> Generator[Tensor, None, None]:
        """As :meth:`ImageSet.batches`."""
        for positions in order:
            patches = np.stack([self._patch(position) for position in positions.tolist()])
            yield torch.from_numpy(patches).permute(0, 3, 1, 2).contiguous()

    def to(self, device: torch.device) -> Patches:
        return self

    def _patch(self, position: int) -> np.ndarray:
        top, left = self._corners[position]
        patch = self._images[self._chosen[position]][top : top + self._size, left : left + self._size]
        way = self._ways[position]
        if way & 4:
            patch = patch.transpose(1, 0, 2)
        turned: np.ndarray = patch[:: -1 if way & 2 else 1, :: -1 if way & 1 else 1]
        return turned


def patch_source(config: PatchConfig, request: DataRequest) -> Source:
    """Patches of the images of a folder.

    Raises:
        ConfigError: it is no folder, or an option does not go with patches.
        NothingToDoError: there is no image in it.
    """
    folder = Path(request.data)
    if not folder.is_dir():
        raise ConfigError(
            f"--data {request.data}: this recipe trains on patches of photographs, so it takes a folder of images "
            "(training.patches in the recipe)."
        )
    if request.image_size is not None:
        raise ConfigError(
            "--image-size resizes whole images, and this recipe trains on patches of them: set training.patches.size."
        )
    names = images_in(folder, request.exclude)
    color = config.color if request.color == "auto" else request.color
    mode: Mode = "L" if color == "grey" else "RGB"
    photographs = _Photographs(data_name(request.data), folder, names, mode, config)
    return Source(
        name=photographs.name,
        image_shape=(photographs.channels, config.size, config.size),
        load=lambda: _load(photographs, request),
        size_option="training.patches.size",
    )


@dataclass(frozen=True)
class _Photograph:
    """An image at each of the sizes that a patch fits in, uint8 [H, W, C] each."""

    name: str
    sizes: list[np.ndarray]


@dataclass(frozen=True)
class _Photographs:
    """The images of a folder that are asked for, and how each is prepared."""

    name: str  # of the data
    root: Path
    names: Sequence[str]
    mode: Mode
    config: PatchConfig

    @property
    def channels(self) -> int:
        return 1 if self.mode == "L" else 3

    def read(self, workers: int) -> tuple[list[_Photograph], tuple[str, ...]]:
        """Those that can be read and are large enough, and a sentence on each kind that is left out.

        Raises:
            NothingToDoError: none of them is.
            TrainingError: they take more memory than there is for them.
        """
        limit = available_memory() // 2
        found: list[_Photograph] = []
        reasons: list[str] = []
        taken, small = 0, 0
        for one in in_order(self._read, self.names, workers):
            if isinstance(one, str):
                reasons.append(one)
                continue
            if not one.sizes:
                small += 1
                continue
            found.append(one)
            taken += sum(image.nbytes for image in one.sizes)
            if taken > limit:
                raise TrainingError(
                    f"The images of {self.name}, shrunk, take more than the {gibibytes(limit)} of memory that there "
                    "are for them: leave some out with --exclude, or set a larger training.patches.shrink."
                )
        least = self.config.size * min(self.config.shrink)
        if not found:
            raise NothingToDoError(
                f"None of the {len(self.names)} images of {self.name} gives a patch: {len(reasons)} cannot be read, "
                f"{small} are smaller than {least} pixels a side (training.patches.size × shrink)."
            )
        notes = []
        if reasons:
            notes.append(
                f"{len(reasons)} of {len(self.names)} files cannot be read and are left out: {listed(reasons)}."
            )
        if small:
            notes.append(
                f"{small} of {len(self.names)} images are smaller than {least} pixels a side and are left out."
            )
        return found, tuple(notes)

    def _read(self, name: str) -> _Photograph | str:
        """A photograph, shrunk; or why there is none."""
        try:
            with quiet_pillow():
                return _Photograph(name, _shrunk(read_image(self.root / name, self.mode), self.config))
        except ImageError as error:
            return f"{name} ({error})"


def _load(photographs: _Photographs, request: DataRequest) -> Data:
    """Read and shrink all images, keep them in memory, and hold some of them back: no image is on both sides."""
    found, notes = photographs.read(request.workers or available_cores())
    held_out = held_out_count(len(found), request.held_out)
    kept_back = set(held_out_indices(len(found), held_out).tolist())
    digest = PixelDigest((photographs.channels, 0, 0))
    sides: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for at, one in enumerate(found):
        sides[at in kept_back].extend(one.sizes)
        for image in one.sizes:
            digest.update(image)
    config = photographs.config
    train = Patches(sides[0], config.size, config.count)
    judged = Patches(sides[1], config.size, min(_MOST_HELD_OUT, config.count))
    return Data(
        train=train,
        held_out=judged,
        record=DataRecord(
            name=photographs.name,
            digest=digest.hexdigest(),
            train=len(train),
            held_out=len(judged),
            split=split_rule(len(found), held_out),
            preparation=_preparation(config, found, train, judged),
            files=tuple(one.name for one in found) if config.record_files else (),
        ),
        notes=notes,
        photographs=(len(found) - held_out, held_out),
    )


def _shrunk(image: Image.Image, config: PatchConfig) -> list[np.ndarray]:
    """An image at each of the sizes that a patch fits in, uint8 [H, W, C]."""
    images = []
    for factor in config.shrink:
        width, height = image.width // factor, image.height // factor
        if min(width, height) < config.size:
            continue
        smaller = image if factor == 1 else image.resize((width, height), Image.Resampling.LANCZOS)
        images.append(np.asarray(smaller).reshape(height, width, -1))
    return images


def _preparation(config: PatchConfig, found: Sequence[_Photograph], train: Patches, judged: Patches) -> str:
    """How the files became patches, as a manifest records it."""
    pixels = sum(image.shape[0] * image.shape[1] for one in found for image in one.sizes)
    factors = ", ".join(map(str, config.shrink))
    return (
        f"{len(found)} photographs, upright, shrunk by {factors} with an antialiased Lanczos filter "
        f"({pixels / 1e6:.1f} megapixels together); {len(train):,} patches of {config.size}×{config.size} from evenly "
        f"drawn places to train on, {len(judged):,} of held-out photographs to choose the weights, each turned and "
        "mirrored"
    )
