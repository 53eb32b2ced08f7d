"""How a codebook is used."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import exp, log, log2

import numpy as np

from aedeploy.errors import BackendError


@dataclass(frozen=True, kw_only=True)
class CodebookFigures:
    """``used``: how many of ``size`` entries occur at all, ``used_share`` the share. ``perplexity``: exp of the
    entropy of all indices, as many entries as would do if all were used alike. ``bits`` by image, ``indices`` of
    log₂ ``size`` each, and ``entropy_bits``, what an ideal code of their frequencies would take.
    """

    size: int
    used: int
    used_share: float
    perplexity: float
    indices: int
    bits: float
    entropy_bits: float


class CodebookSums:
    """How often each entry occurs."""

    def __init__(self, size: int) -> None:
        self._size = size
        # By entry: an implied codebook may have more of them than any memory.
        self._counts: Counter[int] = Counter()
        self._images = 0

    def add(self, indices: np.ndarray) -> None:
        """Add a batch of indices: int64 [B, …].

        Raises:
            BackendError: one of them is none of the codebook's.
        """
        entries, counts = np.unique(indices, return_counts=True)
        if not 0 <= entries[0] <= entries[-1] < self._size:
            raise BackendError(
                f"The encoder gave indices from {entries[0]} to {entries[-1]} of a codebook of {self._size}: "
                "the bundle contradicts itself, export it again."
            )
        self._counts.update(dict(zip(entries.tolist(), counts.tolist(), strict=True)))
        self._images += len(indices)

    def figures(self) -> CodebookFigures:
        """Of all indices that were added."""
        size, total = self._size, self._counts.total()
        shares = np.array(list(self._counts.values())) / total
        entropy = float(-(shares * np.log(shares)).sum())
        indices = total // self._images
        return CodebookFigures(
            size=size,
            used=len(shares),
            used_share=len(shares) / size,
            perplexity=exp(entropy),
            indices=indices,
            bits=indices * log2(size),
            entropy_bits=indices * entropy / log(2.0),
        )
