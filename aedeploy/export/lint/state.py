"""What ``encode`` leaves behind in the model and ``decode`` picks up: the latent alone does not give the image."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch

from aedeploy.export.lint._finding import Finding, Stage
from aedeploy.export.lint._subject import Subject

STAGE = Stage.RUNS

# In [0, 1] units: the same operators on the same values.
_DIFFERENCE = 1e-4


@torch.no_grad()
def check(subject: Subject) -> Iterator[Finding]:
    """An image's latent must give the same image when another one was encoded in between."""
    if subject.model.latent is None:
        return
    one, other = subject.images[:1], subject.images[1:2]
    module = copy.deepcopy(subject.module)
    try:
        if subject.is_random:
            return  # a rule of its own says so
        latent = module.encode(*subject.given(one))["latent"]  # type: ignore[operator]
        at_once = module.decode(latent)  # type: ignore[operator]
        module.encode(*subject.given(other))  # type: ignore[operator]
        later = module.decode(latent)  # type: ignore[operator]
    except Exception:  # whatever the model's code raises of a batch of one: another rule says so
        return
    difference = float((later - at_once).abs().max())
    if difference > _DIFFERENCE:
        yield Finding(
            rule="state",
            severity="error",
            where=f"{type(subject.root).__name__}.decode",
            what=f"the same latent gives something else, by up to {difference:.2g}, once another image was encoded: "
            "encode keeps something in the model that decode needs, such as a skip connection or a mean",
            remedy="Make it part of the latent, or export the model uncut with --whole",
        )
