"""Images that come back in another size than they went in."""

from __future__ import annotations

from collections.abc import Iterator

from aedeploy.export.lint._finding import Finding, Stage
from aedeploy.export.lint._subject import Subject

STAGE = Stage.RUNS


def check(subject: Subject) -> Iterator[Finding]:
    """Every size that is tried must come back from the latent as it went in."""
    channels = subject.model.image.channels
    for (height, width), shape in subject.of_sizes.items():
        if isinstance(shape, Exception) or tuple(shape[1:]) == (channels, height, width):
            continue
        given = "×".join(map(str, shape[1:]))
        yield Finding(
            rule="round-trip",
            severity="error",
            where=type(subject.root).__name__,
            what=f"images of {channels}×{height}×{width} come back as {given}",
            remedy=_remedy(subject, shape[1] == channels, (height, width)),
        )
        return


def _remedy(subject: Subject, same_channels: bool, size: tuple[int, int]) -> str:
    if not same_channels:
        return "Let the decoder give as many channels as the images have"
    image = subject.model.image
    if image.dynamic_size and size != subject.sizes[0]:
        return f"Give --dynamic-size a multiple of {image.multiple_of} that every halving leaves whole"
    return "Take an --input whose height and width every halving leaves whole, or mend the decoder's padding"
