"""The job ``reconstruct``: every image through the whole autoencoder, to an image again, or to its error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from aedeploy.bundle.manifest import Role
from aedeploy.errors import ImageError
from aedeploy.images.geometry import restored
from aedeploy.images.pixels import to_bytes, to_words
from aedeploy.jobs.chunk import Chunk, Row, finite_rows
from aedeploy.jobs.gate import ReadingGate
from aedeploy.jobs.noise import Images, run_told, tell_noise
from aedeploy.jobs.reading import ChunkReader
from aedeploy.jobs.scoring import Scorer
from aedeploy.jobs.sinks import Sink
from aedeploy.jobs.sinks.open import SHARD_IMAGES, open_image_sink
from aedeploy.jobs.sinks.scores import ScoresContract, ScoresSink
from aedeploy.jobs.sources import ThreadContents
from aedeploy.jobs.spec import Failure, Scoring, Settings, Source, StageSeconds
from aedeploy.jobs.stages import timed
from aedeploy.runtime.codec import Codec, image_geometry

if TYPE_CHECKING:
    from aedeploy.runtime.full_size import FullSize

ROLE: Role = "autoencoder"

_NOT_FINITE = "the model gave NaN or infinity"

# Of images at their own sizes, what a worker holds at once before it writes: 4 megapixels.
_HELD_PIXELS = 2**22

# Rows of a file of scores, where there is nothing but them.
_SHARD_SCORES = 4096


def _full_size(settings: Settings, codec: Codec) -> FullSize:
    from aedeploy.runtime.full_size import FullSize

    return FullSize(codec, tile=settings.tile)


class _Model:
    """A model of the job, as it takes images."""

    def __init__(self, settings: Settings, codec: Codec) -> None:
        self.codec = codec
        self.full = _full_size(settings, codec) if settings.any_size else None
        self._sigma = settings.denoising.sigma if settings.denoising else None

    def tell_noise(self, rows: Sequence[Row], images: Images) -> None:
        """Before they are run: see :func:`aedeploy.jobs.noise.tell_noise`."""
        tell_noise(self.codec, rows, images, self._sigma)

    def run(self, rows: Sequence[Row], pixels: np.ndarray) -> np.ndarray:
        """float32 [rows, C, H, W] or uint8 [rows, H, W, C] of images, uint8 or uint16 [rows, H, W, C]."""
        (made,) = run_told(self.codec, ROLE, rows, pixels).values()
        return made


def _scores_sink(settings: Settings, codec: Codec) -> Sink:
    scoring = settings.scoring or Scoring()
    contract = ScoresContract(
        bundle=codec.bundle.name,
        bundle_digest=codec.bundle.manifest.digest,
        graph_format=codec.graph_format,
        reading={"decode": settings.reading.decode, "resize": settings.reading.resize},
        measured="original" if settings.any_size else "model",
        threshold=scoring.threshold,
        quantile=scoring.quantile,
    )
    return ScoresSink(settings, contract, open_image_sink(settings) if scoring.heatmaps else None)


class Work:
    """See jobs/shard.py."""

    def __init__(self, settings: Settings, codec: Codec, grey: Codec | None = None) -> None:
        """``grey``: the model for images of one channel, where ``codec`` is for all others alone."""
        scoring = settings.scoring
        self.shard_images = SHARD_IMAGES if settings.writes_images or settings.any_size else _SHARD_SCORES
        self._settings = settings
        models = [_Model(settings, one) for one in (codec, grey) if one is not None]
        self._models = {model.codec.bundle.manifest.image.channels: model for model in models}
        self._contents = ThreadContents(settings.origin)
        images = settings.images
        self._reader = ChunkReader(
            settings.reading,
            image_geometry(codec.bundle, settings.reading.resize),
            deep=(images.supports_depth16 or scoring is not None) and codec.engine.pixels == "float32",
            alpha=images.supports_alpha and settings.size == "original" and scoring is None,
            own_mode=grey is not None,
        )
        self._scorer = Scorer(settings, scoring) if scoring else None
        self.sink: Sink = _scores_sink(settings, codec) if scoring else open_image_sink(settings)

    def chunk(self, sources: Sequence[Source], gate: ReadingGate, seconds: StageSeconds) -> Chunk:
        read_and_run = self._any_size if self._settings.any_size else self._own_size
        return read_and_run(sources, gate, seconds)

    def _own_size(self, sources: Sequence[Source], gate: ReadingGate, seconds: StageSeconds) -> Chunk:
        """Through the size that the model has, and back to each image's own."""
        chunk = self._reader.read(self._contents.get(), sources, gate, seconds)
        if not chunk.rows:
            return chunk
        with timed(seconds, "infer"):
            pixels = chunk.arrays["pixels"]
            model = self._model_of(pixels[0])
            model.tell_noise(chunk.rows, pixels)
            chunk.arrays["image"] = image = model.run(chunk.rows, pixels)
            chunk.keep(finite_rows(image), _NOT_FINITE)
        pixels, made, rows = chunk.arrays.pop("pixels"), chunk.arrays.pop("image"), chunk.rows
        parts = [self._written(rows[some], pixels[some], made[some], seconds) for some in self._finished_sizes(rows)]
        return _merged(chunk, parts)

    def _finished_sizes(self, rows: Sequence[Row]) -> Iterator[slice]:
        """Rows to finish and write at a time: at their own sizes, images may be many times as large."""
        start = held = 0
        for number, row in enumerate(rows):
            held += row.placement.size[0] * row.placement.size[1] if row.placement else 0
            if held >= _HELD_PIXELS:
                yield slice(start, number + 1)
                start, held = number + 1, 0
        yield slice(start, len(rows))

    def _any_size(self, sources: Sequence[Source], gate: ReadingGate, seconds: StageSeconds) -> Chunk:
        """Each image at its own size: one by one, and small ones of one size together."""
        chunk = Chunk(members=[], rows=[])
        parts: list[Chunk] = []
        while left := sources[len(chunk.members) :]:
            one, pictures = self._reader.read_whole(self._contents.get(), left, gate, seconds, _HELD_PIXELS)
            chunk.members += one.members
            chunk.failures += one.failures
            parts += self._through(list(zip(one.rows, pictures, strict=True)), seconds)
        return _merged(chunk, parts)

    def _through(self, waiting: Sequence[tuple[Row, np.ndarray]], seconds: StageSeconds) -> Iterator[Chunk]:
        """Run and write some images, those of one size side by side."""
        for _, some in groupby(waiting, key=lambda one: (one[1].shape, one[1].dtype)):
            rows, pictures = map(list, zip(*some, strict=True))
            with timed(seconds, "infer"):
                self._model_of(pictures[0]).tell_noise(rows, pictures)
            if self._fits(pictures[0]):
                with timed(seconds, "infer"):
                    pixels = np.stack(pictures)
                    made = self._model_of(pictures[0]).run(rows, pixels)
                yield self._written(rows, pixels, made, seconds)
                continue
            for row, picture in zip(rows, pictures, strict=True):
                yield self._alone(row, picture, seconds)

    def _model_of(self, picture: np.ndarray) -> _Model:
        """The model that takes such images, [H, W, C]."""
        return self._models[picture.shape[2]]

    def _fits(self, picture: np.ndarray) -> bool:
        """Whether an image is no larger than the model's own, and needs no padding."""
        image, (height, width, _) = self._model_of(picture).codec.bundle.manifest.image, picture.shape
        if height % image.multiple_of or width % image.multiple_of or min(height, width) < image.minimum:
            return False
        return bool(height * width <= image.height * image.width)

    def _alone(self, row: Row, picture: np.ndarray, seconds: StageSeconds) -> Chunk:
        full = self._model_of(picture).full
        assert full is not None
        try:
            with timed(seconds, "infer"):
                values = full.reconstruct(picture, sigma=row.sigma)
        except ImageError as error:  # too large to go through in one piece
            return Chunk(members=[], rows=[], failures=[Failure(path=row.source.path, reason=str(error))])
        made = values if values.dtype == np.uint8 else values.transpose(2, 0, 1)
        return self._written([row], picture[None], made[None], seconds)

    def _written(self, rows: Sequence[Row], pixels: np.ndarray, made: np.ndarray, seconds: StageSeconds) -> Chunk:
        """Some rows with what a graph gave of them, scored or finished, and written."""
        part = Chunk(members=[], rows=list(rows), arrays={"pixels": pixels, "image": made})
        part.keep(finite_rows(made), _NOT_FINITE)
        pixels, made = part.arrays.pop("pixels"), part.arrays.pop("image")
        if self._scorer is not None and part.rows:
            with timed(seconds, "score"):
                part.arrays = self._scorer.measure(part.rows, pixels, made)
        with timed(seconds, "write"):
            if self._scorer is None:
                for row, finished in zip(part.rows, self._finished(part.rows, pixels, made), strict=True):
                    row.image = finished
            self.sink.write(part)
        return part

    def _finished(self, rows: Sequence[Row], pixels: np.ndarray, made: np.ndarray) -> Iterator[np.ndarray]:
        """From what went into a graph and what it gave, as :meth:`_images` has it, to the pixels that are written."""
        return self._images(rows, made)

    def _images(self, rows: Sequence[Row], made: np.ndarray) -> Iterator[np.ndarray]:
        """Images of a graph, float32 [rows, C, H, W] or uint8 [rows, H, W, C], each with its own depth and size."""
        images = made if made.dtype == np.uint8 else to_bytes(made)
        for number, row in enumerate(rows):
            image = images[number]
            if row.depth == 16 and made.dtype != np.uint8:
                (image,) = to_words(made[number : number + 1])
            if row.placement is not None and self._settings.size == "original":
                image = restored(image, row.placement)
            yield image


def _merged(chunk: Chunk, parts: Sequence[Chunk]) -> Chunk:
    """The chunk, with what became of its rows in parts."""
    chunk.rows = [row for part in parts for row in part.rows]
    chunk.failures += [failure for part in parts for failure in part.failures]
    full = [part.arrays for part in parts if part.rows]
    chunk.arrays = {name: np.concatenate([arrays[name] for arrays in full]) for name in (full[0] if full else {})}
    return chunk
