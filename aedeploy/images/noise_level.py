"""How much gaussian noise there is in an image, told from the image alone.

Small patches of a scene lie near a subspace of few dimensions; noise fills all of them, equally. So the least
eigenvalue of the patches' covariance is the noise's variance, if only patches with little texture are taken. Which
those are is told by the sum of their squared gradients, against what noise alone of the variance found so far would
give, all but once in a million; a few rounds of both settle (Liu, Tanaka & Okutomi 2013, "Single-image noise level
estimation for blind denoising"). Pixels that are clipped to black or white show less noise than there was: where there
are any, patches are taken whose mean is far enough from both.

7 ms for a channel of 481×321 pixels on one core, and 13 for any larger one.
"""

from __future__ import annotations

import numpy as np

#: Side of a patch.
_SIDE = 7

#: What the sum of squared gradients of a patch of pure noise exceeds once in a million, in variances of that noise: the
#: quantile of a gamma distribution of shape r / 2 and scale 2 t / r, of the rank r and the trace t of the gradients'
#: quadratic form over a patch. With SciPy: tests/images/test_noise_level.py computes it.
_TEXTURE = 81.82076743668523

#: Fewer leave the variance too high where there is much texture; more lose patches and end too low.
_ROUNDS = 3

#: How many patches a covariance is made of: in all rounds but the last it only has to find the patches.
_PATCHES, _LAST_PATCHES = 2**13, 2**15

#: How many of them are multiplied at a time: so few that OpenBLAS does not share the work among threads, with which it
#: would take ten times as long on a busy machine, or in one of several workers.
_TOGETHER = 96

#: How far from black and white a patch's mean must be, in standard deviations; and of how many that is asked.
_MARGIN, _LEAST = 2.0, 2000

#: The share of pixels that are black or white from which on some are taken to be clipped.
_CLIPPED = 1e-3

#: A patch whose mean is as near as that to black or white was clipped all of it.
_BLACK = 0.002

#: Of a larger image blocks are looked at, evenly spread.
_BLOCK, _BLOCKS = 64, 8


def estimated_sigma(image_HWC: np.ndarray) -> float:
    """The standard deviation of the noise in an image, in levels of 255; 0 of one too small or too flat to tell.

    ``image_HWC``: uint8, uint16, or finite float32 where white is 1, [H, W, C]. Of several channels: the root of the
    mean of their variances.
    """
    if min(image_HWC.shape[:2]) < _SIDE:
        return 0.0
    white = 255.0 if image_HWC.dtype == np.uint8 else 65535.0 if image_HWC.dtype == np.uint16 else 1.0
    channels = (image_HWC[:, :, channel] for channel in range(image_HWC.shape[2]))
    variances = [_variance(np.divide(_blocks(plane), white, dtype=np.float32)) for plane in channels]
    return 255.0 * float(np.sqrt(np.mean(variances)))


def _variance(blocks_NHW: np.ndarray) -> float:
    """Of the noise in blocks of one channel, white is 1."""
    texture = _texture(blocks_NHW)
    taken = texture > 0.0
    ends = np.count_nonzero((blocks_NHW == 0.0) | (blocks_NHW == 1.0))
    away = _away(blocks_NHW) if ends else None
    if away is not None:
        taken &= away > _BLACK
    clipped = ends > _CLIPPED * blocks_NHW.size
    # Around 0, for the sake of float32's precision.
    patches = np.lib.stride_tricks.sliding_window_view(blocks_NHW - blocks_NHW.mean(), (_SIDE, _SIDE), axis=(1, 2))
    variance = _least_eigenvalue(_some(patches, np.flatnonzero(taken), _PATCHES))
    for left in reversed(range(_ROUNDS)):
        flat = np.flatnonzero(taken & (texture < _TEXTURE * variance))
        if clipped and away is not None:
            flat = _unclipped(flat, away[flat], _MARGIN * float(np.sqrt(variance)))
        if len(flat) <= 2 * _SIDE**2:
            break
        variance = _least_eigenvalue(_some(patches, flat, _PATCHES if left else _LAST_PATCHES))
    return variance


def _blocks(plane_HW: np.ndarray) -> np.ndarray:
    """The image itself, or evenly spread parts of a large one: [n, h, w]."""
    height, width = plane_HW.shape
    if height * width <= (_BLOCKS * _BLOCK) ** 2:
        return plane_HW[None]
    # A long and narrow one has room for fewer of them across.
    down, across = (min(_BLOCKS**2, max(1, length // _BLOCK)) for length in (height, width))
    while down * across > _BLOCKS**2:
        down, across = (max(1, down - 1), across) if down >= across else (down, max(1, across - 1))
    size = min(_BLOCK, height), min(_BLOCK, width)
    rows, columns = (
        np.linspace(0, length - side, count).astype(int)
        for length, side, count in zip((height, width), size, (down, across), strict=True)
    )
    everywhere = np.lib.stride_tricks.sliding_window_view(plane_HW, size)
    blocks: np.ndarray = everywhere[rows[:, None], columns].reshape(-1, *size)
    return blocks


def _some(patches: np.ndarray, chosen: np.ndarray, most: int) -> np.ndarray:
    """So many of the chosen patches at the most, evenly spread, as rows: [n, side²]."""
    chosen = chosen[:: max(1, -(-len(chosen) // most))]
    rows: np.ndarray = patches[np.unravel_index(chosen, patches.shape[:3])].reshape(-1, _SIDE**2)
    return rows


def _texture(blocks_NHW: np.ndarray) -> np.ndarray:
    """Of each patch, the sum of its squared gradients, by central differences inside of it."""
    across = (blocks_NHW[:, :, 2:] - blocks_NHW[:, :, :-2]) / 2
    down = (blocks_NHW[:, 2:] - blocks_NHW[:, :-2]) / 2
    summed: np.ndarray = _sums(across**2, _SIDE, _SIDE - 2) + _sums(down**2, _SIDE - 2, _SIDE)
    return summed.ravel()


def _away(blocks_NHW: np.ndarray) -> np.ndarray:
    """Of each patch, how far its mean is from the nearer of black and white."""
    means = _sums(blocks_NHW, _SIDE, _SIDE).ravel() / np.float32(_SIDE**2)
    distance: np.ndarray = np.minimum(means, 1.0 - means)
    return distance


def _sums(values_NHW: np.ndarray, height: int, width: int) -> np.ndarray:
    """Sums over all boxes of that size."""
    down, across = values_NHW.shape[1] - height + 1, values_NHW.shape[2] - width + 1
    columns = sum((values_NHW[:, at : at + down] for at in range(1, height)), values_NHW[:, :down])
    boxes: np.ndarray = sum((columns[:, :, at : at + across] for at in range(1, width)), columns[:, :, :across])
    return boxes


def _unclipped(flat: np.ndarray, away: np.ndarray, margin: float) -> np.ndarray:
    """Those of the patches that are so far away from black and white; where that is too few, the farthest."""
    inside = flat[away > margin]
    return inside if len(inside) >= _LEAST else flat[np.argsort(-away, kind="stable")[:_LEAST]]


def _least_eigenvalue(patches: np.ndarray) -> float:
    """Of the covariance of patches without their means, but for the one that this makes 0."""
    count = len(patches)
    if count < 2:
        return 0.0
    total, products = np.zeros(_SIDE**2), np.zeros((_SIDE**2, _SIDE**2))
    whole = count - count % _TOGETHER
    for part in (patches[:whole].reshape(-1, _TOGETHER, _SIDE**2), patches[None, whole:]):
        total += (np.ones((1, part.shape[1]), np.float32) @ part).sum(axis=(0, 1), dtype=np.float64)
        products += np.matmul(part.transpose(0, 2, 1), part).sum(axis=0)
    covariance = products / count - np.outer(total, total) / count**2
    # The means of single patches are taken off here: from so few numbers, in place of all patches.
    covariance -= covariance.mean(axis=0)
    covariance -= covariance.mean(axis=1, keepdims=True)
    return max(0.0, float(np.linalg.eigvalsh(covariance)[1]))
