"""How far an exported graph may be from PyTorch: one table, printed beside every figure it judges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """Passes when  max |candidate − reference| ≤ absolute + relative × max |reference|."""

    absolute: float
    relative: float

    def limit(self, reference: np.ndarray) -> float:
        """The largest error allowed, in the output's own units."""
        peak = float(np.max(np.abs(reference), initial=0.0))
        return self.absolute + self.relative * peak


#: By what an output is, for graphs that compute in float32. Two ways of adding up the same float32 numbers differ
#: by about 1e-6 of the largest; a wrong weight, order or normalisation differs by 1e-3 and more.
FLOAT32 = {
    "image": Tolerance(absolute=1e-5, relative=0.0),
    "latent": Tolerance(absolute=1e-5, relative=1e-5),
    "logvar": Tolerance(absolute=1e-5, relative=1e-5),
}

#: How many times PyTorch's own rounding error in float32, measured against float64, may be added to the tolerance of an
#: image, up to a bound. Of a network that amplifies rounding, on inputs that it was never trained for, no engine can
#: promise more; and an error that matters to an image (1e-3 and more) stays an error.
ROUNDING_FACTOR = 8.0
MOST_ROUNDING = 1e-4

#: The share of 8-bit pixels, over all cases of a graph, that may come out one step away: a value that lies on the
#: edge between two bytes goes to either, by an error of any size.
CHANGED_PIXELS = 1e-4

#: The share of decisions in one call (which code, which entries of a latent are kept) that may fall otherwise. Where
#: two choices are equally good to within 1e-6, as in about one place of 100,000, an error of that size decides. A
#: wrong codebook, k or threshold changes one in a hundred and more.
DECIDED_OTHERWISE = 1e-3

_KINDS = {"image": "image", "reconstruction": "image", "latent": "latent", "logvar": "logvar", "indices": "indices"}


def kind_of(output: str) -> str:
    """What an output is, by its name: ``image``, ``latent``, ``logvar`` or ``indices``."""
    return _KINDS[output]


def tolerance_of(output: str) -> Tolerance:
    """The tolerance for an output of a float32 graph; ``indices`` have none, see ``decisions.py``."""
    return FLOAT32[kind_of(output)]
