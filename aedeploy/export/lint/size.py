"""A height or width that is fixed in the code of a model whose contract allows others."""

from __future__ import annotations

from collections.abc import Iterator

from aedeploy.export.lint._finding import Finding, Stage
from aedeploy.export.lint._subject import Subject
from aedeploy.models.place import one_line

STAGE = Stage.RUNS


def check(subject: Subject) -> Iterator[Finding]:
    """Every size that is tried must run, where the model's own size does."""
    own, *others = subject.sizes
    if isinstance(subject.of_sizes[own], Exception):
        return
    for height, width in others:
        error = subject.of_sizes[height, width]
        if isinstance(error, Exception):
            yield Finding(
                rule="size",
                severity="error",
                where=str(subject.place_of(error)),
                what=f"images of {height}×{width}, which the contract allows, fail: {one_line(error)}",
                remedy="Let layers and reshapes follow the size of their input, or give --dynamic-size a larger one",
            )
            return
