"""An output that cannot reach black or white, or that is clamped where it should not be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.utils._python_dispatch import TorchDispatchMode

from aedeploy.export.lint._finding import Finding, Stage
from aedeploy.export.lint._intervals import KEEPS, MOVES, Interval, Intervals
from aedeploy.export.lint._nodes import name_of
from aedeploy.export.lint._subject import Part, Subject

STAGE = Stage.READS

_RULE = "output-range"
# Half a step of eight bits: what is nearer than that to black or white becomes it.
_HALF_STEP = 0.5 / 255
# A pixel counts as clamped when it was further out than this: overshoot at an edge is no fault.
_OVERSHOOT = 0.1
_MOST_CLAMPED = 0.05
_REMEDY = "Compare --mean, --std and --model-output with the code that the model was trained by"


def check(subject: Subject) -> Iterator[Finding]:
    """Bounds, from the last clamp back to the activation; and how many pixels of real images it changes."""
    part = subject.parts[-1]
    clamp = _last_clamp(part)
    if clamp is None or part.program is None:
        return
    found = Intervals(part.program).of(clamp.args[0])
    where = str(part.place(_activation(clamp)))
    yield from _unreachable(found, where)
    yield from _beyond(found, where)
    yield from _clamped(subject, where)


def _unreachable(found: Interval, where: str) -> Iterator[Finding]:
    if found.high.min() < 1.0 - _HALF_STEP:
        what = f"no pixel can be brighter than {float(found.high.min()):.3g} where white is 1"
        yield _warning(where, what)
    if found.low.max() > _HALF_STEP:
        yield _warning(where, f"no pixel can be darker than {float(found.low.max()):.3g} where black is 0")


def _beyond(found: Interval, where: str) -> Iterator[Finding]:
    """A bounded activation of which much is cut off: a Tanh whose −1 to 1 is taken for 0 to 1."""
    low, high = float(found.low.min()), float(found.high.max())
    width = high - low
    if width == float("inf") or width == 0 or low >= 0 >= high:
        return
    kept = max(0.0, min(high, 1.0) - max(low, 0.0)) / width
    if kept <= 0.5 + 1e-9:
        yield _warning(
            where, f"its values from {low:.3g} to {high:.3g} are clamped to 0 to 1, which loses half of them"
        )


def _clamped(subject: Subject, where: str) -> Iterator[Finding]:
    """Of the bundle's sample images; weights that were never trained give anything."""
    watcher = _LastClamp()
    with watcher:
        subject.outputs(subject.images[::2])
    if watcher.given is None:
        return
    share = float(((watcher.given < -_OVERSHOOT) | (watcher.given > 1.0 + _OVERSHOOT)).float().mean())
    if share > _MOST_CLAMPED:
        yield _warning(where, f"{share:.0%} of the pixels of real images are far outside of 0 to 1 before the clamp")


class _LastClamp(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps what the last clamp to [0, 1] was given."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.given: Tensor | None = None

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if operator.overloadpacket is torch.ops.aten.clamp and args[1:] == (0.0, 1.0):
            self.given = args[0]
        return operator(*args, **(kwargs or {}))


def _last_clamp(part: Part) -> Node | None:
    """The clamp to [0, 1] that is ours."""
    clamps = [node for node in part.calls() if name_of(node) == "clamp" and tuple(node.args[1:]) == (0.0, 1.0)]
    return clamps[-1] if clamps else None


def _activation(node: Node) -> Node:
    """Where the values come from: what is before the clamp, the undone normalisation and any change of shape."""
    while isinstance(node.args[0], Node) and node.args[0].op == "call_function":
        if name_of(node) not in {"clamp", "add", "mul", *KEEPS, *MOVES}:
            break
        node = node.args[0]
    return node


def _warning(where: str, what: str) -> Finding:
    return Finding(rule=_RULE, severity="warning", where=where, what=what, remedy=_REMEDY)
