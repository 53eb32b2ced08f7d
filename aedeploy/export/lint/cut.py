"""An own model whose encoder and decoder, one after the other, are not what its ``forward`` computes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from aedeploy.export.lint._finding import Finding, Stage
from aedeploy.export.lint._subject import Subject
from aedeploy.models.own import OwnAutoencoder, decoded
from aedeploy.models.place import one_line
from aedeploy.models.returned import described, tensors_in

STAGE = Stage.READS

# Relative to the largest value: forward and encode → decode are the same operators in the same order.
_DIFFERENCE = 1e-4


def check(subject: Subject) -> Iterator[Finding]:
    """``decode(encode(image))`` against ``forward(image)``, in the model's own units, before anything is clamped.

    A ``forward`` that samples is run with its normal noise at zero, which leaves the mean.
    """
    module = subject.module
    if not isinstance(module, OwnAutoencoder) or subject.model.latent is None or subject.is_random:
        return
    if type(module.model).forward is torch.nn.Module.forward:
        return  # it has none: there is nothing to compare
    image = module.normalised(subject.images)
    try:
        whole, samples = _without_noise(module, image)
    except Exception as error:  # whatever their code raises
        what = f"forward does not run on an image alone ({one_line(error)}), so it was not compared with the two graphs"
        yield _warning(str(subject.place_of(error)), what)
        return
    where = f"{type(module.model).__name__}.forward"
    parts = _composed(module, subject.images)
    if whole is None:
        yield _warning(where, "forward draws random numbers, so it was not compared with decode(encode(image))")
        return
    # A loss may stand before the reconstruction, or a latent; whatever has an image's values may be it.
    images = [tensor.reshape(parts.shape) for tensor in whole if tensor.numel() == parts.numel()]
    if not images:
        given = ", ".join(described(tensor) for tensor in whole) or "no tensor"
        what = f"forward gives {given} where decode(encode(image)) gives {described(parts)}"
        yield _warning(where, f"{what}, so they were not compared")
    elif (difference := min(_relative(image, parts) for image in images)) > _DIFFERENCE:
        yield Finding(
            rule="cut",
            severity="error",
            where=where,
            what=f"decode(encode(image)) differs from forward(image) by up to {difference:.2g} of its largest value"
            f"{', although forward was run without its noise' if samples else ''}: something passes by the latent, "
            "such as a skip connection, or forward does more than the two",
            remedy="Move what forward does besides into encode or decode, or export it uncut with --whole",
        )


@torch.no_grad()
def _composed(module: OwnAutoencoder, image: Tensor) -> Tensor:
    latent = module.encode(image)["latent"]
    return decoded(module.model, latent)


@torch.no_grad()
def _without_noise(module: OwnAutoencoder, image: Tensor) -> tuple[list[Tensor] | None, bool]:
    """Every tensor that forward gives without its noise, None where they are random all the same; whether it samples.

    The model's own input is given as a copy: a forward may change it in place.
    """
    first, second = (list(tensors_in(module.model(image.clone()))) for _ in range(2))
    if _same(first, second):
        return first, False
    with _NormalNoiseAtZero():  # type: ignore[no-untyped-call]
        first, second = (list(tensors_in(module.model(image.clone()))) for _ in range(2))
    return (first if _same(first, second) else None), True


def _same(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


class _NormalNoiseAtZero(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Every normally distributed number that is drawn is the mean of its distribution."""

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operator(*args, **(kwargs or {}))
        name = operator.overloadpacket.__name__
        if name in ("randn", "randn_like"):
            return result.zero_()
        if name in ("normal", "normal_"):
            mean = args[0] if name == "normal" else (args[1] if len(args) > 1 else (kwargs or {}).get("mean", 0.0))
            return result.copy_(mean) if isinstance(mean, Tensor) else result.fill_(mean)
        return result


def _relative(one: Tensor, other: Tensor) -> float:
    scale = max(float(one.abs().max()), 1e-12)
    return float((one - other).abs().max()) / scale


def _warning(where: str, what: str) -> Finding:
    return Finding(
        rule="cut",
        severity="warning",
        where=where,
        what=what,
        remedy="The graphs are made of encode and decode; look for yourself that forward is nothing else",
    )
