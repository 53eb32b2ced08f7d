"""How large a bundle's files are, and how much smaller a latent is than its image."""

from __future__ import annotations

import json
from math import log2, prod

from aedeploy.bundle import Bundle
from aedeploy.errors import AedeployError
from aedeploy.pictures import Subject
from aedeploy.report.tables import Cell, Row, Table

# What safetensors keeps beside parameters, by the ends of names in PyTorch.
_NO_PARAMETERS = ("running_mean", "running_var", "num_batches_tracked")


def size_facts(bundle: Bundle, subject: Subject) -> dict[str, str]:
    """What to say beside the table of files."""
    manifest = bundle.manifest
    facts = {"the bundle": f"{sum(file.bytes for file in bundle.files()):,} bytes in all files that its manifest names"}
    counted = _parameters(bundle)
    if counted is not None:
        facts["weights"] = f"{counted:,} parameters"
    image = manifest.image
    values = image.channels * image.height * image.width
    latent = _latent(subject)
    if latent is not None:
        numbers, bits, indices = latent
        if indices is None:
            facts["latent"] = f"{numbers:,} numbers for {values:,} pixel values: {_compared(values, numbers)}"
            facts["in bits"] = f"{bits:,.6g} at 32 a number, for 8 a pixel value: {_compared(8 * values, bits)}"
        else:
            facts["latent"] = f"{indices:,} indices of {bits / indices:.4g} bits each, for {values:,} pixel values"
            facts["in bits"] = f"{bits:,.6g} for 8 a pixel value: {_compared(8 * values, bits)}"
    return facts


def files_table(bundle: Bundle) -> Table:
    """Every file that the manifest vouches for."""
    total = max(1, max(file.bytes for file in bundle.files()))
    return Table(
        label="Files",
        head=("file", "bytes", "SHA-256"),
        rows=tuple(
            Row(
                cells=(
                    Cell(text=file.path, look="name"),
                    Cell(text=f"{file.bytes:,}", look="figure", share=file.bytes / total),
                    Cell(text=f"{file.sha256[:16]}…", look="name"),
                )
            )
            for file in bundle.files()
        ),
    )


def _compared(image: float, latent: float) -> str:
    """How many times fewer the latent has, or more."""
    if image == latent:
        return "as many"
    return f"{image / latent:.4g} × fewer" if image > latent else f"{latent / image:.4g} × as many"


def _parameters(bundle: Bundle) -> int | None:
    """How many numbers the weights are, by the head of their file; None where it cannot be read."""
    path = bundle.path / bundle.manifest.weights.path
    try:
        with open(path, "rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > path.stat().st_size:
                return None
            head = json.loads(stream.read(length))
        tensors = {name: tensor for name, tensor in head.items() if name != "__metadata__"}
        return sum(int(prod(one["shape"])) for name, one in tensors.items() if not name.endswith(_NO_PARAMETERS))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _latent(subject: Subject) -> tuple[int, float, int | None] | None:
    """Numbers, bits and indices of one image's latent; None where there is none, or it cannot be told here."""
    latent = subject.manifest.latent
    if latent is None:
        return None
    fixed = [size for size in latent.shape if isinstance(size, int)]
    if len(fixed) == len(latent.shape) and latent.codebook_size is None:
        return prod(fixed), 32.0 * prod(fixed), None
    try:
        code = subject.code
    except (AedeployError, OSError):
        return None
    numbers = int(code["latent"][0].size)
    if latent.codebook_size is None or "indices" not in code:
        return numbers, 32.0 * numbers, None
    indices = int(code["indices"][0].size)
    return numbers, indices * log2(latent.codebook_size), indices
