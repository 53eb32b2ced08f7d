"""Random numbers in a graph: the same image would give something else each time."""

from __future__ import annotations

from collections.abc import Iterator

from aedeploy.export.lint._finding import Finding, Stage
from aedeploy.export.lint._nodes import is_active_dropout, is_random, name_of
from aedeploy.export.lint._subject import Subject

STAGE = Stage.READS

_REMEDY = (
    "Where the model is not training, return the mean and draw nothing (if self.training: …), or take the noise as "
    "an argument"
)
_REMEDY_UNSEEN = (
    "Where the model is not training (if self.training: …), draw nothing, and change neither a buffer nor, in place, "
    "the image that is given"
)


def check(subject: Subject) -> Iterator[Finding]:
    """Every operator of the captured graphs that draws random numbers; or what two runs show, where none is found."""
    explained = False
    for part in subject.parts:
        for node in part.calls():
            explained |= is_active_dropout(node)
            if is_random(node):
                explained = True
                where = subject.more_exactly(part.place(node), name_of(node))
                yield _finding(f"{where}", f"{name_of(node)} draws random numbers")
    if not explained and subject.is_random:
        what = "the same images give something else when they are run again"
        yield _finding(type(subject.root).__name__, what, _REMEDY_UNSEEN)


def _finding(where: str, what: str, remedy: str = _REMEDY) -> Finding:
    return Finding(rule="random-nodes", severity="error", where=where, what=what, remedy=remedy)
