"""Dropout that drops and batch norm that learns: what belongs to training and is still active in eval mode."""

from __future__ import annotations

from collections.abc import Iterator

from aedeploy.export.lint._finding import Finding, Stage
from aedeploy.export.lint._nodes import argument, is_active_dropout, is_training_norm
from aedeploy.export.lint._subject import Subject

STAGE = Stage.READS

#: By the names that they have when a model just runs.
_DROPOUTS = ("native_dropout", "bernoulli")
_NORMS = ("native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm", "miopen_batch_norm")


def check(subject: Subject) -> Iterator[Finding]:
    """Every operator of the captured graphs that is in training mode although the model is in eval mode."""
    for part in subject.parts:
        for node in part.calls():
            if is_active_dropout(node):
                yield _finding(
                    f"{subject.more_exactly(part.place(node), *_DROPOUTS)}",
                    "dropout is active in eval mode, so what the model gives changes from call to call",
                    "Use nn.Dropout, or pass training=self.training to F.dropout",
                )
            elif is_training_norm(node) and argument(node, "running_mean") is None:
                yield _finding(
                    f"{subject.more_exactly(part.place(node), *_NORMS)}",
                    "batch norm has no running statistics, so an image's result depends on the others in its batch",
                    "Train with track_running_stats=True, or use nn.GroupNorm or nn.InstanceNorm2d",
                )
            elif is_training_norm(node):
                yield _finding(
                    f"{subject.more_exactly(part.place(node), *_NORMS)}",
                    "batch norm is in training mode although the model is in eval mode, so an image's result depends "
                    "on the others in its batch",
                    "Take .train() or training=True out of the code that runs in eval mode",
                )


def _finding(where: str, what: str, remedy: str) -> Finding:
    return Finding(rule="training-mode", severity="error", where=where, what=what, remedy=remedy)
