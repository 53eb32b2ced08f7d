"""NaN or infinity in what the model gives, for images that it may well meet."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from aedeploy.export.lint._finding import Finding, Stage
from aedeploy.export.lint._subject import Subject

# After the weights were looked at: NaN there is the cause.
STAGE = Stage.READS


def check(subject: Subject) -> Iterator[Finding]:
    """Every output for real images, noise, and images that are all black or all white."""
    black = torch.zeros_like(subject.images[:1])
    for what, images in (("real images", subject.images), ("black images", black), ("white images", 1 - black)):
        for name, tensor in subject.outputs(images).items():
            if not tensor.isfinite().all():
                yield Finding(
                    rule="finite",
                    severity="error",
                    where=type(subject.root).__name__,
                    what=f"its {name} is NaN or infinite for {what}",
                    remedy="Keep divisors, and what a root or a logarithm is taken of, away from 0 (+ 1e-5)",
                )
                return
