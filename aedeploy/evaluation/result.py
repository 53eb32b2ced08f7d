"""All that was measured of a bundle."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from aedeploy.evaluation.baselines import BaselineFigures, PCAFigures
from aedeploy.evaluation.codebook import CodebookFigures
from aedeploy.evaluation.gaussian import GaussianFigures
from aedeploy.evaluation.images import Failure
from aedeploy.evaluation.noise import NoiseFigures
from aedeploy.evaluation.reconstruction import PixelFigures
from aedeploy.evaluation.sparsity import SparsityFigures


@dataclass(frozen=True, kw_only=True)
class DataFigures:
    """What was measured on: ``images`` sound images of ``part`` of the data ``name``, (channels, height, width)."""

    name: str
    part: str
    images: int
    image_shape: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class LatentFigures:
    """The latent's size. ``numbers_ratio``: an image's values by the latent's numbers. ``bits`` of an image: 32 a
    number or, of a codebook, those of its indices; ``compression_ratio``: the image's, 8 a value, by these.
    """

    shape: tuple[int, ...]
    numbers: int
    numbers_ratio: float
    bits: float
    compression_ratio: float | None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a bundle is worth on images. A family that does not apply to the model is None, or empty."""

    bundle: str
    backend: str
    device: str
    seed: int
    data: DataFigures
    reconstruction: PixelFigures
    latent: LatentFigures | None
    gaussian: GaussianFigures | None
    codebook: CodebookFigures | None
    sparsity: SparsityFigures | None
    denoising: tuple[NoiseFigures, ...]
    baselines: BaselineFigures
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]
    seconds: float

    @property
    def better_than_pca(self) -> bool | None:
        """Whether the MSE is below that of the PCA; None without one."""
        pca = self.baselines.pca
        return None if pca is None else self.reconstruction.mse < pca.mse

    @property
    def verdict(self) -> str:
        """The comparison with PCA, in words."""
        pca = self.baselines.pca
        if pca is None:
            return f"not compared with PCA: {self.baselines.pca_absent}"
        sides = f"MSE {self.reconstruction.mse:#.3g} against {pca.mse:#.3g}"
        return f"{'better' if self.better_than_pca else 'not better'} than {self._named(pca)}: {sides}"

    def _named(self, pca: PCAFigures) -> str:
        if pca.bits is not None:
            return f"PCA at the same number of bits ({pca.components} coefficients of 8 bits)"
        short = self.latent is not None and pca.components < self.latent.numbers
        return f"PCA-{pca.components}" + (f", all that {pca.images:,} images have" if short else "")

    def as_dict(self) -> dict[str, Any]:
        """For JSON; docs/evaluation.md says what each key is."""
        return {**asdict(self), "better_than_pca": self.better_than_pca, "verdict": self.verdict}
