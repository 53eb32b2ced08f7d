"""What an encoder decides: which code stands for a place, which entries of a latent are kept.

Where two choices are equally good, two engines that both compute rightly may choose differently, and everything that
follows from the choice is then different: an entry of the codebook, an image. So choices are held against one
another by how many agree, and one that does not agree must be as good as the other, to within rounding: that is the
gap, which the model itself measures in float64. Values are compared where the choices agree, and elsewhere with what
the other choice gives; and an image that was made of another choice, with what the reference makes of that choice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from aedeploy.images.pixels import to_bytes, to_floats
from aedeploy.parity.compare import Comparison, compare, malformed
from aedeploy.parity.tolerances import FLOAT32, Tolerances

Arrays = Mapping[str, np.ndarray]

#: Of some rows of a candidate's code, given as bool [batch]: the gap of each choice, and the latent that they make.
Judge = Callable[[Arrays, np.ndarray], tuple[np.ndarray, np.ndarray]]


def compare_all(
    candidate: Arrays,
    reference: Arrays,
    *,
    masked: bool,
    tolerances: Tolerances = FLOAT32,
    rounding: Callable[[str], float] | None = None,
    judge: Judge | None = None,
    repeats: int = 1,
) -> tuple[Comparison, ...]:
    """Compare all outputs of a graph with their references, in the references' order.

    Args:
        candidate, reference: the outputs by name.
        masked: whether the model sets entries of its latents to 0 by a choice among them.
        tolerances: what is allowed.
        rounding: by how much the tolerance of an output may be wider, by its name; asked only where it would matter,
            and not of latents that follow from a choice.
        judge: of an encoder's outputs, what measures the choices that fell otherwise; without it they are judged by
            their number alone.
        repeats: how often each image stands in the batch: one choice is then many.
    """
    same = _agreeing(candidate, reference)
    found = []
    for name, wanted in reference.items():
        if name == "indices":
            found.append(_compare_indices(candidate, reference, tolerances, judge, repeats))
        elif name == "latent" and same is not None:
            agreed = np.broadcast_to(same[:, None], wanted.shape)
            found.append(compare(name, candidate[name], wanted, agreed, tolerances=tolerances))
        elif name == "latent" and masked:
            found.append(_compare_masked(candidate, wanted, tolerances, judge, repeats))
        else:
            found.append(compare(name, candidate[name], wanted, tolerances=tolerances))
            if rounding is not None and not found[-1] and found[-1].max_abs is not None:
                found[-1] = compare(name, candidate[name], wanted, tolerances=tolerances, rounding=rounding(name))
    return tuple(found)


def rows_decided_otherwise(candidate: Arrays, reference: Arrays) -> np.ndarray:
    """bool [batch]: in which images a code is another one, or an entry is kept by one of the two only."""
    if "indices" in reference:
        return _rows(candidate["indices"] != reference["indices"])
    return _rows((candidate["latent"] != 0.0) != (reference["latent"] != 0.0))


@dataclass(frozen=True, kw_only=True)
class OtherChoice:
    """In which images of a call an encoder decided otherwise than the reference, and what comes of that."""

    rows: np.ndarray  # bool [batch]
    images: np.ndarray  # of the rows that are True, of either kind of pixels: decoded from the encoder's own latents
    error: float = 0.0  # how far the furthest pixel of them is from the reference's image

    def expected(self, candidate: Arrays, reference: Arrays) -> Arrays:
        """What to hold a candidate's images against: of ``rows``, whichever is the nearer of the two."""
        return {name: self._nearer(candidate[name], array) for name, array in reference.items()}

    def _nearer(self, candidate: np.ndarray, reference: np.ndarray) -> np.ndarray:
        if malformed(candidate, reference):
            return reference
        merged = reference.copy()
        images = self.images
        if images.dtype != reference.dtype:
            images = to_bytes(images) if reference.dtype == np.uint8 else to_floats(images)
        for at, image in zip(np.flatnonzero(self.rows), images, strict=True):
            got = candidate[at].astype(np.float32)  # bytes would wrap around
            if np.abs(got - image).max() < np.abs(got - reference[at]).max():
                merged[at] = image
        return merged


def _rows(places: Any) -> np.ndarray:
    rows: np.ndarray = np.any(places.reshape(len(places), -1), axis=1)
    return rows


def _agreeing(candidate: Arrays, reference: Arrays) -> np.ndarray | None:
    """bool [batch, h, w]: the places with the same index; None where there are no indices to compare."""
    if "indices" not in reference or malformed(candidate["indices"], reference["indices"]):
        return None
    same: np.ndarray = candidate["indices"] == reference["indices"]
    return same


def _compare_indices(
    codes: Arrays, wanted: Arrays, tolerances: Tolerances, judge: Judge | None, repeats: int
) -> Comparison:
    candidate, reference = codes["indices"], wanted["indices"]
    problem = malformed(candidate, reference)
    if problem:
        return Comparison(output="indices", passed=False, reason=problem, limit=None)
    other = candidate != reference
    counted = Comparison(
        output="indices",
        passed=True,
        reason=None,
        limit=None,
        otherwise=int(np.count_nonzero(other)),
        decisions=reference.size,
    )
    counted = _judge_number(counted, tolerances, repeats, 1, "indices are others")
    if judge is None or not other.any() or malformed(codes["latent"], wanted["latent"]):
        return counted
    rows = _rows(other)
    gap, latent = judge(codes, rows)
    places = np.broadcast_to(other[rows][:, None], latent.shape)
    return _judge_choices(counted, gap[other[rows]], codes["latent"][rows][places], latent[places], tolerances)


def _compare_masked(
    codes: Arrays, reference: np.ndarray, tolerances: Tolerances, judge: Judge | None, repeats: int
) -> Comparison:
    candidate = codes["latent"]
    if malformed(candidate, reference):
        return compare("latent", candidate, reference)
    limit = tolerances.latent.limit(reference) or 0.0
    kept, wanted = candidate != 0.0, reference != 0.0
    flipped = (kept != wanted) & (np.abs(candidate - reference) > limit)
    if judge is None:
        flipped &= _marginal(candidate, reference, tolerances.latent.limit(reference))
    found = compare("latent", candidate, reference, ~flipped, tolerances=tolerances)
    counted = replace(found, otherwise=int(np.count_nonzero(flipped)), decisions=reference.size)
    if not found:
        return counted
    # Two at the least: one entry in the place of another.
    counted = _judge_number(counted, tolerances, repeats, 2, "entries are kept by one and not by the other")
    if judge is None or not flipped.any():
        return counted
    rows = _rows(flipped)
    gap, latent = judge(codes, rows)
    places = flipped[rows]
    return _judge_choices(counted, gap[places], candidate[rows][places], latent[places], tolerances)


def _marginal(candidate: np.ndarray, reference: np.ndarray, limit: float | None) -> np.ndarray:
    """Which entries are as small as the least one that is kept, so that a choice may have left them out.

    At a place where both keep as many, that is the place's own least (the k-th largest); where they do not, the least
    of all places (a threshold's). Without a limit: all.
    """
    if limit is None:
        return np.ones(reference.shape, bool)
    kept, wanted = candidate != 0.0, reference != 0.0
    value = np.where(wanted, reference, np.where(kept, candidate, np.inf))
    as_many = kept.sum(axis=1, keepdims=True) == wanted.sum(axis=1, keepdims=True)
    least = np.where(as_many, value.min(axis=1, keepdims=True), value.min(initial=np.inf))
    marginal: np.ndarray = value <= least + limit
    return marginal


def _judge_number(counted: Comparison, tolerances: Tolerances, repeats: int, least: int, what: str) -> Comparison:
    """Whether no more decisions fell otherwise than may: ``least`` where the share would allow fewer."""
    otherwise, decisions = (counted.otherwise or 0) / repeats, (counted.decisions or 0) // repeats
    # Not all that there are, if there is but one place.
    allowed = min(max(least, int(tolerances.decisions * decisions)), max(decisions - 1, 0))
    if tolerances.decisions >= 1.0 or otherwise <= allowed:
        return counted
    reason = f"{otherwise:g} of {decisions} {what}, and no more than {allowed} may be"
    return replace(counted, passed=False, reason=reason)


def _judge_choices(
    counted: Comparison, gaps: np.ndarray, values: np.ndarray, wanted: np.ndarray, tolerances: Tolerances
) -> Comparison:
    """Whether those that fell otherwise are as good as the reference's, and come with the values that they choose."""
    worst = float(gaps.max(initial=0.0))
    found = replace(counted, gap=worst if np.isfinite(worst) else None)
    if not found:
        return found
    if not worst <= tolerances.gap:
        by = f"by {worst:.1e}, and only a tie to within {tolerances.gap:.0e} may fall either way"
        count = f"{np.count_nonzero(~(gaps <= tolerances.gap))} of {found.decisions} decisions"
        reason = f"{count} fell for a worse choice than PyTorch's, {by if np.isfinite(worst) else 'one that is none'}"
        return replace(found, passed=False, reason=reason)
    limit = tolerances.latent.limit(wanted)
    error = float(np.abs(values - wanted).max(initial=0.0))
    if limit is not None and error > limit:
        reason = f"where another choice was made the latent is off by {error:.1e} from what that choice gives"
        return replace(found, passed=False, reason=reason)
    return found
