"""What pictures are of: a bundle, images, and what its exported graphs make of them, each computed once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from aedeploy.bundle import Bundle, Manifest
from aedeploy.bundle.locate import find_bundle
from aedeploy.bundle.store import HISTORY_FILE
from aedeploy.errors import BackendError, ConfigError, PictureError
from aedeploy.evaluation.gaussian import kl_to_standard_normal
from aedeploy.evaluation.images import Failure
from aedeploy.evaluation.labelled import LabelledImages, labelled_images
from aedeploy.images.pixels import to_floats
from aedeploy.pictures.theme import short
from aedeploy.runtime.codec import Codec, auto_batch_size, load
from aedeploy.runtime.runner import Arrays

#: More points hide one another, and more images take time.
MOST_IMAGES = 1000


class Subject:
    """A bundle and images to look at it with. Nothing is read or run before it is asked for.

    ``data``, ``root`` and ``limit`` say which images: see :func:`aedeploy.evaluation.labelled.labelled_images`.
    ``seed`` is of everything that is drawn at random. ``options`` are those of :func:`aedeploy.load`.
    """

    def __init__(
        self,
        bundle: Bundle | str | Path,
        *,
        data: str | None = None,
        root: Path | None = None,
        limit: int = MOST_IMAGES,
        seed: int = 0,
        **options: Any,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else find_bundle(bundle)
        self.seed = seed
        self.wanted = (data, root, limit)
        self._options = options

    @property
    def manifest(self) -> Manifest:
        return self.bundle.manifest

    @property
    def name(self) -> str:
        return self.bundle.name

    @cached_property
    def codec(self) -> Codec:
        """The bundle, opened by its exported graphs, unless the options name the backend eager."""
        return load(self.bundle, **self._options)

    @cached_property
    def images(self) -> LabelledImages:
        """The images, in the model's size and colour."""
        data, root, limit = self.wanted
        return labelled_images(self.bundle, data, root=root, limit=limit)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Image files that could not be read; none before images were asked for."""
        return self.images.failures if "images" in self.__dict__ else ()

    @property
    def pixels(self) -> np.ndarray:
        """uint8 [N, H, W, C]."""
        return self.images.pixels

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        height, width, channels = self.pixels.shape[1:]
        return height, width, channels

    @cached_property
    def reconstructions(self) -> np.ndarray:
        """uint8 [N, H, W, C], of the autoencoder's graph."""
        return self.codec.reconstruct(self.pixels)

    @cached_property
    def errors(self) -> np.ndarray:
        """The mean squared error of each reconstruction, pixels in [0, 1]: float64 [N]."""
        # Image by image: all of them in float64 may be more than there is memory.
        pairs = zip(self.pixels, self.reconstructions, strict=True)
        return np.array([np.square((one.astype(np.float64) - other) / 255.0).mean() for one, other in pairs])

    @cached_property
    def code(self) -> Arrays:
        """All that the encoder gives for the images, by name.

        Raises:
            PictureError: the model has no encoder.
        """
        if self.manifest.latent is None:
            raise PictureError(
                f"The model of bundle {self.name!r} cannot be cut into an encoder and a decoder: it has no latent to "
                "show."
            )
        return self.codec.encode_all(self.pixels)

    @property
    def latents(self) -> np.ndarray:
        """float32 [N, *latent shape]; of a gaussian model the means."""
        return self.code["latent"]

    @property
    def flat(self) -> np.ndarray:
        """The latents as rows of numbers: float32 [N, D]."""
        return self.latents.reshape(len(self.latents), -1)

    @property
    def spatial(self) -> bool:
        """Whether a latent has a height and a width."""
        return self.latents.ndim > 2

    @property
    def units(self) -> np.ndarray:
        """By latent dimension, or channel of a spatial latent, all its values: float32 [U, N · places]."""
        latents = self.latents
        units: np.ndarray = np.moveaxis(latents, 1, 0).reshape(latents.shape[1], -1)
        return units

    @property
    def unit_name(self) -> str:
        """What a latent dimension is called."""
        return "channel" if self.spatial else "dimension"

    @cached_property
    def kl(self) -> np.ndarray | None:
        """KL of each unit's posterior from N(0, 1) in nats an image, a channel's over all its places: float64 [U].

        None: the latent is no gaussian.
        """
        if "logvar" not in self.code:
            return None
        mean, logvar = (self.code[name].astype(np.float64) for name in ("latent", "logvar"))
        # A variance that nothing holds down may have no KL that a float can hold.
        with np.errstate(over="ignore"):
            by_image: np.ndarray = kl_to_standard_normal(mean, logvar).mean(axis=0)
        found: np.ndarray = by_image.reshape(len(by_image), -1).sum(axis=1)
        return found

    @cached_property
    def prior(self) -> str | None:
        """What brought the latents to N(0, I) in training, in a word or two; None: nothing did.

        A gaussian latent alone does not: without a KL nothing holds it to the prior.
        """
        recipe = self.manifest.recipe
        objective, method = recipe.get("objective", {}), recipe.get("training", {}).get("method", {})
        for term, said in (("kl", "the KL"), ("mmd", "the MMD")):
            if isinstance(objective.get(term), Mapping) and objective[term].get("weight", 1.0) > 0.0:
                return said
        if isinstance(method, Mapping) and method.get("name") == "adversarial":
            return "a discriminator"
        return None

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Rows of numbers, [N, D], or latents of the model's own shape, to images, uint8 [N, H, W, C]."""
        shaped = np.ascontiguousarray(latents, np.float32).reshape(len(latents), *self.latents.shape[1:])
        return self.codec.decode(shaped)

    def denoise(self, noisy: np.ndarray, sigma: float) -> np.ndarray:
        """Noisy images, float32 [N, C, H, W], not clipped, through the autoencoder, which is told σ (in levels of 255)
        where it takes it: float32 [N, C, H, W] in [0, 1].

        Raises:
            BackendError: the graph gave NaN or infinity.
        """
        told = sigma if self.manifest.noise is not None else None
        size = auto_batch_size(self.codec.geometry)
        parts = []
        for start in range(0, len(noisy), size):
            given = np.ascontiguousarray(noisy[start : start + size])
            image = self.codec.run("autoencoder", given, sigma=told)["reconstruction"]
            if not np.isfinite(image).all():
                raise BackendError(f"The autoencoder of bundle {self.name!r} gave NaN or infinity in 'reconstruction'.")
            parts.append(to_floats(image) if image.dtype == np.uint8 else image)
        return np.concatenate(parts)

    def generator(self, stream: str) -> np.random.Generator:
        """Of random numbers for one use, whatever else is drawn."""
        return np.random.default_rng([self.seed, *stream.encode()])

    def history(self) -> list[dict[str, Any]]:
        """The lines of ``history.jsonl``, an epoch each.

        Raises:
            PictureError: there is none, or nothing in it can be read.
        """
        path = self.bundle.path / HISTORY_FILE
        try:
            text = path.read_text(encoding="utf-8")
        except OSError:
            raise PictureError(
                f"Bundle {self.name!r} has no {HISTORY_FILE}: it was not trained by aedeploy, or the file was left "
                "behind."
            ) from None
        except UnicodeDecodeError:
            text = ""
        epochs = []
        for line in text.splitlines():
            try:
                values = json.loads(line)
                if isinstance(values, dict) and {"epoch", "train_loss", "held_out_loss"} <= set(values):
                    epochs.append(values)
            except (ValueError, RecursionError):  # cut off where a process died
                continue
        if not epochs:
            raise PictureError(f"{HISTORY_FILE} of bundle {self.name!r} holds no epoch that can be read.")
        return epochs

    def require_codes_between(self, what: str) -> None:
        """Raise a PictureError where a latent is one of a codebook's, so that there is nothing between two of them."""
        latent = self.manifest.latent
        if latent is not None and latent.codebook_size is not None:
            raise PictureError(
                f"{what}: each place of the latent of {self.name!r} is one of {latent.codebook_size:,} codes, and its "
                "decoder has seen no others."
            )

    def place_of(self, named: str | int, role: str) -> int:
        """The position of an image that is meant by its position, or as the one nearest to the mean of a class.

        Raises:
            ConfigError: there is no such image or class; ``role`` names the choice.
        """
        classes = self.images.classes
        if str(named) in classes:
            return self.typical(str(named))
        if isinstance(named, int) or str(named).isdecimal():
            if 0 <= int(named) < len(self.pixels):
                return int(named)
            raise ConfigError(f"{role}={named}: there are {len(self.pixels):,} images, counted from 0.")
        known = f"the classes are {', '.join(classes)}" if classes else "the images have no labels"
        raise ConfigError(f"{role}={named}: {known}; or give the position of an image, from 0.")

    def called(self, place: int) -> str:
        """An image's label, as far as a picture has room for it, or its position."""
        label = self.images.labels[place] if self.images.labels else None
        return f"image {place}" if label is None else short(label, 12)

    def typical(self, label: str) -> int:
        """The image of a class whose latent is the nearest to the mean of all of them; of a model without latents, the
        image itself.
        """
        members = self._members(label)
        rows = self.pixels.reshape(len(self.pixels), -1) if self.manifest.latent is None else self.flat
        chosen = rows[members].astype(np.float64)
        distance = np.square(chosen - chosen.mean(axis=0)).sum(axis=1)
        return int(members[distance.argmin()])

    def centre(self, label: str) -> np.ndarray:
        """The mean latent of a class: float64 [D]."""
        found: np.ndarray = self.flat[self._members(label)].astype(np.float64).mean(axis=0)
        return found

    def _members(self, label: str) -> np.ndarray:
        return np.array([at for at, each in enumerate(self.images.labels or ()) if each == label])
