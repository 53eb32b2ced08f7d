"""What a program must know of a bundle, as plain values: every target writes them as constants of its language."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10, sqrt
from pathlib import PurePosixPath
from typing import Any

from aedeploy.bundle import Bundle, FileRecord, GraphRecord, TensorSpec
from aedeploy.bundle.golden import GoldenCase, load_golden
from aedeploy.bundle.manifest import ROLES
from aedeploy.errors import IntegrityError
from aedeploy.parity.overall import SLACK_OF_FEW
from aedeploy.parity.tolerances import Tolerances, kind_of, tolerances_of

#: Of the dictionary's form; a program that was generated does not care, what reads it does.
CONTRACT_VERSION = 1

#: Where a program has its graphs and golden vectors.
MODEL_FOLDER = "model"

#: More noise than any image has.
_MOST_SIGMA = 1e6

Contract = dict[str, Any]


def contract_of(bundle: Bundle, graphs: Sequence[GraphRecord]) -> Contract:
    """The contract of a program that has those graphs of a bundle, all of one format; JSON can hold it.

    Raises:
        IntegrityError: the golden file is not the bundle's, or has no case of one of the graphs.
    """
    manifest = bundle.manifest
    cases = load_golden(bundle.file(manifest.golden))
    recipe = manifest.recipe
    return {
        "version": CONTRACT_VERSION,
        "bundle": {
            "name": bundle.name,
            "digest": manifest.digest,
            "recipe": str(recipe.get("name") or "own model"),
            "summary": str(recipe.get("summary") or ""),
            "source": str(recipe.get("source") or ""),
        },
        "image": manifest.image.model_dump(
            mode="json",
            include={"channels", "mode", "height", "width", "dynamic_size", "multiple_of", "minimum"},
        ),
        "latent": _latent(bundle, cases),
        "noise": manifest.noise.model_dump(mode="json", include={"maximum"}) if manifest.noise else None,
        "denoises": manifest.denoises,
        "noise_sigma": _noise_sigma(recipe.get("corruption")),
        "format": graphs[0].format,
        "graphs": [_graph(graph) for graph in graphs],
        "golden": {**_file(manifest.golden), "cases": _cases(bundle, graphs, cases)},
    }


def model_file(record: FileRecord) -> str:
    """Where a program has a file of the bundle."""
    return f"{MODEL_FOLDER}/{PurePosixPath(record.path).name}"


def _latent(bundle: Bundle, cases: Sequence[GoldenCase]) -> Contract | None:
    latent = bundle.manifest.latent
    if latent is None:
        return None
    decoders = [case for case in cases if case.role == "decoder"]
    shape = list(latent.shape)
    if decoders and any(isinstance(size, str) for size in shape):
        # Dimensions that depend on the image's: of the model's own size as many times the golden ones as the image is.
        image, (golden, *_) = bundle.manifest.image, decoders
        _, _, *sizes = golden.outputs["image"].shape
        channels, *places = golden.inputs["latent"].shape[1:]
        own = [place * full // of for place, full, of in zip(places, (image.height, image.width), sizes, strict=True)]
        shape = [channels, *own]
    return {**latent.model_dump(mode="json"), "shape": shape}


def _noise_sigma(corruption: Any) -> float | None:
    """The most gaussian noise that a model was trained to remove, of values in [0, 1]."""
    gaussian = corruption.get("gaussian") if isinstance(corruption, dict) else None
    sigma = gaussian.get("sigma") if isinstance(gaussian, dict) else None
    sigmas = sigma if isinstance(sigma, list | tuple) else [sigma]
    # To a bundle a recipe is free text: what is no standard deviation is left out.
    numbers = [value for value in sigmas if isinstance(value, int | float) and 0 <= value <= _MOST_SIGMA]
    return float(max(numbers)) if numbers else None


def _graph(record: GraphRecord) -> Contract:
    # Golden images are real ones.
    tolerances = tolerances_of(record.format, record.tolerances).on("golden")
    return {
        "role": record.role,
        **_file(record.file),
        "data": None if record.data is None else _file(record.data),
        "inputs": [_tensor(spec) for spec in record.inputs],
        "outputs": [{**_tensor(spec), **_limits(spec.name, tolerances)} for spec in record.outputs],
        "decisions": tolerances.decisions,
    }


def _file(record: FileRecord) -> Contract:
    return {"file": model_file(record), "sha256": record.sha256, "bytes": record.bytes}


def _tensor(spec: TensorSpec) -> Contract:
    return {"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape)}


def _limits(output: str, tolerances: Tolerances) -> Contract:
    if kind_of(output) == "indices":  # judged by how many agree
        return {"absolute": None, "relative": 0.0, "norm": None, "psnr": None}
    bound = tolerances.of(output)
    # Over all golden images, which are few: as ``aedeploy verify`` judges them.
    return {
        "absolute": bound.absolute,
        "relative": bound.relative,
        "norm": None if bound.norm is None else bound.norm * sqrt(SLACK_OF_FEW),
        "psnr": None if bound.psnr is None else bound.psnr - 10 * log10(SLACK_OF_FEW),
    }


def _cases(bundle: Bundle, graphs: Sequence[GraphRecord], cases: Sequence[GoldenCase]) -> list[Contract]:
    roles = {graph.role for graph in graphs}
    found = sorted((ROLES.index(case.role), case.batch) for case in cases if case.role in roles)
    without = roles - {ROLES[role] for role, _ in found}
    if without:
        raise IntegrityError(
            f"The bundle {bundle.name!r} has no golden vectors for its {' and '.join(sorted(without))}, so a program "
            "could not prove itself: restore the bundle, or train again."
        )
    return [{"role": ROLES[role], "batch": batch} for role, batch in found]
