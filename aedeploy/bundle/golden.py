"""Golden vectors: real inputs and what PyTorch made of them, so that any runtime can be proven, anywhere.

``golden.safetensors`` names its tensors ``<role>/<batch>/<input or output>``, such as ``encoder/3/image`` and
``encoder/3/latent``. The roles and batches are read from the names; nothing else is needed to use the file.
One tensor more, ``samples``, holds held-out images as bytes, uint8 [N, H, W, C]: what parity is checked on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aedeploy.bundle.manifest import SIGMA
from aedeploy.errors import IntegrityError

Arrays = dict[str, np.ndarray]

#: The batch sizes that a golden file has for every graph: one image, and an odd number.
BATCHES = (1, 3)


@dataclass(frozen=True, kw_only=True)
class GoldenCase:
    """One call of one graph: ``inputs`` in, and within tolerance ``outputs`` out."""

    role: str
    batch: int
    inputs: Arrays
    outputs: Arrays


#: What graphs are given; all else in a case is what they give. Only a denoiser that is told the noise takes ``sigma``.
INPUTS_OF_ROLE = {
    "encoder": frozenset({"image", SIGMA}),
    "decoder": frozenset({"latent"}),
    "autoencoder": frozenset({"image", SIGMA}),
}


SAMPLES = "samples"
#: A bundle is copied into apps: its samples are as many as fit in this, and no more than parity takes.
MOST_SAMPLE_BYTES = 4 * 2**20
MOST_SAMPLES = 64


def save_golden(path: Path, cases: Iterable[GoldenCase], samples: np.ndarray) -> None:
    """Write the cases and held-out images, uint8 [N, H, W, C], to ``path`` as safetensors.

    Of the images, the first ``MOST_SAMPLES`` are kept, or fewer where they would be more than ``MOST_SAMPLE_BYTES``.
    """
    from safetensors.numpy import save

    count = max(1, min(MOST_SAMPLES, MOST_SAMPLE_BYTES // samples[0].nbytes))
    tensors: Arrays = {SAMPLES: np.ascontiguousarray(samples[:count])}
    for case in cases:
        for name, array in {**case.inputs, **case.outputs}.items():
            tensors[f"{case.role}/{case.batch}/{name}"] = np.ascontiguousarray(array)
    # Not by save_file, whose files only their owner can read.
    path.write_bytes(save(tensors))


def load_golden(path: Path) -> list[GoldenCase]:
    """Read a golden file.

    Raises:
        IntegrityError: it cannot be read, or a name in it is not ``role/batch/tensor``.
    """
    cases: dict[tuple[str, int], GoldenCase] = {}
    for key, array in sorted(_load(path).items()):
        if key == SAMPLES:
            continue
        role, _, rest = key.partition("/")
        batch, _, name = rest.partition("/")
        if role not in INPUTS_OF_ROLE or not batch.isdecimal() or not name:
            raise IntegrityError(f"{path.name} has a tensor {key!r}: a name must be role/batch/tensor.")
        case = cases.setdefault((role, int(batch)), GoldenCase(role=role, batch=int(batch), inputs={}, outputs={}))
        (case.inputs if name in INPUTS_OF_ROLE[role] else case.outputs)[name] = array
    return list(cases.values())


def load_samples(path: Path) -> np.ndarray:
    """The held-out images of a golden file, uint8 [N, H, W, C].

    Raises:
        IntegrityError: it cannot be read, or has none.
    """
    samples = _load(path).get(SAMPLES)
    if samples is None or samples.dtype != np.uint8 or samples.ndim != 4 or not len(samples):
        raise IntegrityError(f"{path.name} holds no sample images: restore the bundle or train again.")
    return samples


def _load(path: Path) -> Arrays:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors: Arrays = load_file(path)
    except (SafetensorError, OSError) as error:
        raise IntegrityError(f"{path.name} cannot be read ({error}): restore the bundle or train again.") from None
    return tensors
