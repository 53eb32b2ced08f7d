"""Latents of any size as points of a plane."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from aedeploy.errors import MissingDependencyError, PictureError

Method = Literal["auto", "pca", "tsne"]


@dataclass(frozen=True, kw_only=True)
class Plane:
    """``points``: [N, 2], or [N, 1] of latents of one number. ``axes``: what each axis is. ``explained``: of principal
    components, the share of the latents' variance that each has.
    """

    points: np.ndarray
    axes: tuple[str, ...]
    method: str
    explained: tuple[float, ...] = ()


def plane(flat: np.ndarray, method: Method = "auto", seed: int = 0) -> Plane:
    """Bring latents, [N, D], to the plane: those of one or two numbers as they are, others by principal components
    (``auto``, ``pca``) or by t-SNE (van der Maaten & Hinton 2008).

    Raises:
        PictureError: there are too few latents for that.
        MissingDependencyError: the package is not installed.
    """
    images, numbers = flat.shape
    if method == "auto" and numbers <= 2:
        return Plane(points=flat, axes=tuple(f"z{_SUB[at]}" for at in range(numbers)), method="as it is")
    if numbers == 1:
        raise PictureError(f"A latent of one number has no plane for {method} to find: leave method out.")
    if images < 3:
        raise PictureError(f"{images} latents of {numbers:,} numbers span no plane: give more images with --data.")
    if method == "tsne":
        if not differ(flat):
            raise PictureError("All latents are the same, so there is no telling who is near whom.")
        return _tsne(flat, seed)
    points, explained = principal(flat, 2)
    axes = tuple(f"principal component {at + 1} ({share:.0%})" for at, share in enumerate(explained))
    return Plane(points=points, axes=axes, method="PCA", explained=explained)


def principal(flat: np.ndarray, components: int) -> tuple[np.ndarray, tuple[float, ...]]:
    """The first principal components of latents, [N, components], and the share of the variance that each has.

    Where they do not vary in so many directions, the rest is 0.
    """
    rows = flat.astype(np.float64)
    fitted = fitted_pca(rows, min(components, *flat.shape))
    # Of latents that are all the same, a share of nothing, or of rounding.
    shares = fitted.explained_variance_ratio_ if differ(flat) else np.zeros(fitted.n_components_)
    missing = components - len(shares)
    points = np.pad(fitted.transform(rows), ((0, 0), (0, missing)))
    return points, tuple(float(share) for share in np.pad(shares, (0, missing)))


def differ(flat: np.ndarray) -> bool:
    """Whether any two rows, [N, D], differ."""
    return bool((flat != flat[0]).any())


def fitted_pca(rows: np.ndarray, components: int) -> Any:
    """scikit-learn's PCA, fitted to float64 rows, [N, D]; the same for the same rows."""
    require_sklearn("Principal components of latents")
    from sklearn.decomposition import PCA

    # Of few numbers exactly, and many times faster than by all singular vectors; of many, those that are asked for.
    solver = "covariance_eigh" if rows.shape[1] <= _EXACT else "randomized"
    with np.errstate(invalid="ignore"), one_thread():
        return PCA(components, svd_solver=solver, random_state=0).fit(rows)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one core: threads that wait for one another on a busy machine cost these small problems many times
    what they take.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def require_sklearn(purpose: str) -> None:
    """Raise a MissingDependencyError where scikit-learn is not installed."""
    if importlib.util.find_spec("sklearn") is None:
        raise MissingDependencyError("scikit-learn", "pictures", purpose)


# Numbers of a latent up to which principal components are exact.
_EXACT = 1024
_SUB = ("₁", "₂")
_PERPLEXITY = 30.0


def _tsne(flat: np.ndarray, seed: int) -> Plane:
    require_sklearn("t-SNE")
    from sklearn.manifold import TSNE

    # It must be below the number of images.
    perplexity = min(_PERPLEXITY, (len(flat) - 1) / 3)
    with one_thread():
        points = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(flat)
    axes = ("t-SNE 1 (no unit)", "t-SNE 2 (no unit)")
    return Plane(points=points, axes=axes, method=f"t-SNE, perplexity {perplexity:.3g}")
