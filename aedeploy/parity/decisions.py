"""What an encoder decides: which code stands for a place, which entries of a latent are kept.

Where two choices are equally good, two engines that both compute rightly may choose differently, and everything that
follows from the choice is then different: an entry of the codebook, an image. So choices are held against one
another by how many agree; values, where the choices agree; and an image that was made of another choice, against what
the reference makes of that choice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from aedeploy.parity.compare import Comparison, compare, malformed
from aedeploy.parity.tolerances import DECIDED_OTHERWISE, kind_of, tolerance_of

Arrays = Mapping[str, np.ndarray]


def compare_all(
    candidate: Arrays, reference: Arrays, *, masked: bool, rounding: Callable[[str], float] | None = None
) -> tuple[Comparison, ...]:
    """Compare all outputs of a graph with their references, in the references' order.

    ``masked``: whether the model sets entries of its latents to 0 by a choice among them. ``rounding``: by how much the
    tolerance of an image may be wider, by its output's name; asked only where it would matter.
    """
    same = _agreeing(candidate, reference)
    found = []
    for name, wanted in reference.items():
        if name == "indices":
            found.append(_compare_indices(candidate[name], wanted))
        elif name == "latent" and same is not None:
            found.append(compare(name, candidate[name], wanted, np.broadcast_to(same[:, None], wanted.shape)))
        elif name == "latent" and masked:
            found.append(_compare_masked(candidate[name], wanted))
        else:
            found.append(compare(name, candidate[name], wanted))
            worth_asking = not found[-1] and found[-1].max_abs is not None and kind_of(name) == "image"
            if rounding is not None and worth_asking:
                found[-1] = compare(name, candidate[name], wanted, rounding=rounding(name))
    return tuple(found)


def rows_decided_otherwise(candidate: Arrays, reference: Arrays) -> np.ndarray:
    """bool [batch]: in which images a code is another one; of outputs that passed :func:`compare_all`."""
    latent, wanted = candidate["latent"], reference["latent"]
    error = np.abs(latent - wanted).reshape(len(wanted), -1).max(axis=1, initial=0.0)
    other: np.ndarray = error > tolerance_of("latent").limit(wanted)
    return other


@dataclass(frozen=True, kw_only=True)
class OtherChoice:
    """In which images of a call an encoder decided otherwise than the reference, and what comes of that."""

    rows: np.ndarray  # bool [batch]
    images: np.ndarray  # [rows that are True, C, H, W]: decoded from the encoder's own latents

    def expected(self, candidate: Arrays, reference: Arrays) -> Arrays:
        """What to hold a candidate's images against: of ``rows``, whichever is the nearer of the two."""
        return {name: self._nearer(candidate[name], array) for name, array in reference.items()}

    def _nearer(self, candidate: np.ndarray, reference: np.ndarray) -> np.ndarray:
        if malformed(candidate, reference):
            return reference
        merged = reference.copy()
        for at, image in zip(np.flatnonzero(self.rows), self.images, strict=True):
            if np.abs(candidate[at] - image).max() < np.abs(candidate[at] - reference[at]).max():
                merged[at] = image
        return merged


def _agreeing(candidate: Arrays, reference: Arrays) -> np.ndarray | None:
    """bool [batch, h, w]: the places with the same index; None where there are no indices to compare."""
    if "indices" not in reference or malformed(candidate["indices"], reference["indices"]):
        return None
    same: np.ndarray = candidate["indices"] == reference["indices"]
    return same


def _compare_indices(candidate: np.ndarray, reference: np.ndarray) -> Comparison:
    problem = malformed(candidate, reference)
    if problem:
        return Comparison(output="indices", passed=False, reason=problem, limit=None)
    otherwise = int(np.count_nonzero(candidate != reference))
    # One at the least, where a rate would allow none; but not all there are.
    allowed = min(max(1, int(DECIDED_OTHERWISE * reference.size)), reference.size - 1)
    counted = Comparison(
        output="indices", passed=True, reason=None, limit=None, otherwise=otherwise, decisions=reference.size
    )
    return _judge(counted, allowed, "indices are others")


def _compare_masked(candidate: np.ndarray, reference: np.ndarray) -> Comparison:
    if malformed(candidate, reference):
        return compare("latent", candidate, reference)
    limit = tolerance_of("latent").limit(reference)
    kept, wanted = candidate != 0.0, reference != 0.0
    flipped = (kept != wanted) & (np.abs(candidate - reference) > limit)
    flipped &= _marginal(candidate, reference, limit)
    found = compare("latent", candidate, reference, ~flipped)
    # Two at the least: one entry in the place of another.
    allowed = max(2, int(DECIDED_OTHERWISE * reference.size))
    counted = replace(found, otherwise=int(np.count_nonzero(flipped)), decisions=reference.size)
    return _judge(counted, allowed, "entries are kept by one and not by the other") if found else counted


def _marginal(candidate: np.ndarray, reference: np.ndarray, limit: float) -> np.ndarray:
    """Which entries are as small as the least one that is kept, so that a choice may have left them out.

    At a place where both keep as many, that is the place's own least (the k-th largest); where they do not, the least
    of all places (a threshold's).
    """
    kept, wanted = candidate != 0.0, reference != 0.0
    value = np.where(wanted, reference, np.where(kept, candidate, np.inf))
    as_many = kept.sum(axis=1, keepdims=True) == wanted.sum(axis=1, keepdims=True)
    least = np.where(as_many, value.min(axis=1, keepdims=True), value.min(initial=np.inf))
    marginal: np.ndarray = value <= least + limit
    return marginal


def _judge(counted: Comparison, allowed: int, what: str) -> Comparison:
    if counted.otherwise is None or counted.otherwise <= allowed:
        return counted
    reason = f"{counted.otherwise} of {counted.decisions} {what}, and no more than {allowed} may be"
    return replace(counted, passed=False, reason=reason)
