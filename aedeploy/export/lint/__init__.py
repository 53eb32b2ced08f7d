"""The lint before an export: what makes graphs wrong although they come out. One rule a file, each with

STAGE: Stage   when it is asked
def check(subject: Subject) -> Iterator[Finding]

Its name is the file's, and its first docstring line says what it looks for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from aedeploy.errors import LintError
from aedeploy.export.lint._finding import Finding, Severity, Stage
from aedeploy.export.lint._subject import Part, Subject
from aedeploy.export.split import Graph, split
from aedeploy.models.contract import Deployable, roles_of
from aedeploy.names import load_named, names_in

RULES = "aedeploy.export.lint"
_FORMATS = "aedeploy.export.formats"

__all__ = ["RULES", "Finding", "Part", "Severity", "Stage", "Subject", "lint", "refuse", "rule_names", "subject_of"]


def rule_names() -> list[str]:
    """The names of all rules."""
    return names_in(RULES)


def subject_of(
    model: Deployable,
    samples_NHWC: np.ndarray,
    formats: Sequence[str] = ("onnx",),
    cut: Callable[[], list[Graph]] | None = None,
) -> Subject:
    """What the lint looks at, of a model that is about to be written in ``formats``.

    ``samples_NHWC`` are real images of the model's size, uint8; ``cut`` makes its graphs, which export then writes.
    """
    nothing: dict[str, str] = {}
    return Subject(
        model=model,
        samples_NHWC=samples_NHWC,
        cut=cut or (lambda: split(model, dict.fromkeys(roles_of(model), nothing), samples_NHWC)),
        formats=tuple(formats),
        # An option of ONNX and of what is made from it.
        from_onnx=any("opset" in load_named(_FORMATS, format, "format").OPTIONS for format in formats),
    )


def lint(subject: Subject) -> tuple[Finding, ...]:
    """What every rule finds, errors first; a finding of the same rule and place is given once.

    Raises:
        ExportError: the model cannot be cut into graphs at all, and no rule says why.
    """
    rules = [load_named(RULES, name, "lint rule") for name in rule_names()]
    found: list[Finding] = []
    for stage in Stage:
        # What a stage refuses is the cause of what the next would say.
        if not any(finding.severity == "error" for finding in found):
            found += [finding for rule in rules if rule.STAGE is stage for finding in rule.check(subject)]
    once = {(finding.rule, finding.where, finding.what): finding for finding in found}
    return tuple(sorted(once.values(), key=lambda finding: finding.severity != "error"))


def refuse(findings: Sequence[Finding]) -> None:
    """Raise what the errors among the findings say.

    Raises:
        LintError: there is one.
    """
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise LintError(f"The model cannot be exported as it is{more}: {errors[0]}", tuple(findings))
