"""A batch size that is fixed in the code, and images of a batch that influence each other."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from aedeploy.errors import ExportError
from aedeploy.export.lint._finding import Finding, Stage
from aedeploy.export.lint._nodes import is_training_norm
from aedeploy.export.lint._subject import Subject
from aedeploy.models.place import Place, name_of, one_line

STAGE = Stage.RUNS

# Relative to the largest output. In float64, where most models run, rounding is far below it.
_INFLUENCE = 1e-4
_FOLLOW = "Let shapes follow the input: x.flatten(1), or x.view(x.shape[0], …), in place of a number"


def check(subject: Subject) -> Iterator[Finding]:
    """Batches of one and of several must both run, give as many rows, and give each image what it gets alone."""
    images = subject.images
    for batch in (1, len(images)):
        try:
            outputs = subject.outputs(images[:batch])
        except Exception as error:  # whatever the model's code raises
            yield _finding(subject.place_of(error), f"a batch of {batch} fails: {one_line(error)}", _FOLLOW)
            return
        for name, tensor in outputs.items():
            if tensor.shape[:1] != (batch,):
                what = f"{name} has the shape {list(tensor.shape)} for a batch of {batch}"
                yield _finding(Place(module=type(subject.root).__name__), what, _FOLLOW)
                return
    if subject.is_random or _has_training_norm(subject):
        return  # rules of their own say so
    yield from _influence(subject)


def _has_training_norm(subject: Subject) -> bool:
    try:
        return any(is_training_norm(node) for part in subject.parts for node in part.calls())
    except ExportError:  # it cannot be cut: another rule, or the export itself, says why
        return False


def _influence(subject: Subject) -> Iterator[Finding]:
    module, images = _exact(subject)
    together, alone = subject.outputs(images, module), subject.outputs(images[:1], module)
    for name, tensor in together.items():
        scale = max(1.0, float(tensor.double().abs().max()))
        difference = float((tensor[:1].double() - alone[name].double()).abs().max())
        if difference > _INFLUENCE * scale:
            yield _finding(
                Place(module=_first_to_differ(subject, module, images)),
                f"an image's {name} changes by {difference:.2g} with the other images in its batch",
                "Normalise or attend within an image: no operation may reach over dimension 0",
            )
            return


def _exact(subject: Subject) -> tuple[nn.Module, Tensor]:
    """In float64, where a choice among near equals cannot fall otherwise; in float32 where the code is bound to it."""
    images = subject.images.double()
    try:
        module = copy.deepcopy(subject.module).double()
        subject.outputs(images, module)
    except Exception:  # whatever the model's code raises of float64
        return subject.module, subject.images
    return module, images


def _first_to_differ(subject: Subject, module: nn.Module, images: Tensor) -> str:
    """The first module whose output for the same image depends on the batch."""
    calls: list[tuple[str, Tensor]] = []
    root = module.get_submodule("model") if subject.root is not subject.module else module

    def note(name: str) -> object:
        def hook(_: nn.Module, __: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim:
                calls.append((name, output[:1]))

        return hook

    handles = [child.register_forward_hook(note(name)) for name, child in root.named_modules()]
    subject.outputs(images, module)
    together, calls = calls, []
    subject.outputs(images[:1], module)
    for handle in handles:
        handle.remove()
    for (name, one), (_, other) in zip(together, calls, strict=False):
        if one.shape != other.shape or not torch.allclose(one, other, rtol=_INFLUENCE, atol=_INFLUENCE):
            return name_of(name, root)
    return type(root).__name__


def _finding(place: Place, what: str, remedy: str) -> Finding:
    return Finding(rule="batch", severity="error", where=str(place), what=what, remedy=remedy)
