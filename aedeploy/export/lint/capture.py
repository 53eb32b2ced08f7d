"""Code that PyTorch's exporter cannot follow, such as a choice that depends on values, or a size that it fixes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aedeploy.errors import ExportError
from aedeploy.export.lint._finding import Finding, Stage
from aedeploy.export.lint._noting import NotingLengths
from aedeploy.export.lint._subject import Subject

STAGE = Stage.LAST


def check(subject: Subject) -> Iterator[Finding]:
    """Every graph that could not be captured. TorchScript alone is made without, and is only warned of."""
    needed = any(format != "torchscript" for format in subject.formats)
    for part in subject.parts:
        if part.failure is not None:
            where, what, remedy = _explained(subject, part.failure)
            yield Finding(
                rule="capture",
                severity="error" if needed else "warning",
                where=where,
                what=what,
                remedy=remedy if needed else f"The lint could not look into this graph. {remedy}",
            )


def _explained(subject: Subject, failure: ExportError) -> tuple[str, str, str]:
    """Where, what and what to do."""
    fixed = re.search(r"Constraints violated \(([^)]+)\)", str(failure))
    if fixed is None:
        where = str(subject.place_of(failure.__cause__ or failure))
        remedy = "Write it so that what runs does not depend on values: torch.where in place of if"
        return where, str(failure).rstrip("."), remedy
    noting = NotingLengths(subject.root)
    with noting:
        subject.outputs(subject.images)
    dimension = re.sub(r"_\d+$", "", fixed[1].partition(",")[0])
    if noting.found:
        what = f"len of a tensor is a plain number, which would fix the {dimension} in the graph"
        return str(noting.found[0]), what, "Take x.shape[0] in place of len(x)"
    what = f"something in it would fix the {dimension} in the graph at that of an example"
    return type(subject.root).__name__, what, "Let shapes follow x.shape, without int() or comparisons of it"
