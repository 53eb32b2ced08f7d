"""Does a program, in whatever language, compute what the bundle's golden vectors say? See runtime/program.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aedeploy.bundle import Bundle, GraphRecord
from aedeploy.bundle.golden import GoldenCase, load_golden
from aedeploy.bundle.manifest import ROLES, Role
from aedeploy.errors import AedeployError, BackendError, BundleError, ConfigError
from aedeploy.parity.verify import VerifyResult, golden_results
from aedeploy.runtime.codec import Codec, load
from aedeploy.runtime.program import NotStartedError, Program, ProgramRunner, SkippedError, can_be_named


@dataclass(frozen=True, kw_only=True)
class ImageResult:
    """The latent that the program makes of an image file, against ours. Figures are None where there are none."""

    path: str
    passed: bool | None  # None: nothing was asked of it, or it could not be compared
    reason: str | None = None
    max_abs: float | None = None  # |the program's latent − ours|, the largest
    peak: float | None = None  # |our latent|, the largest
    otherwise: int | None = None  # indices that differ, of so many
    decisions: int | None = None


@dataclass(frozen=True, kw_only=True)
class ConformReport:
    """What a program made of the golden vectors, and of image files; true when it is proven right."""

    bundle: str
    command: tuple[str, ...]
    format: str
    results: tuple[VerifyResult, ...]
    images: tuple[ImageResult, ...] = ()

    def __bool__(self) -> bool:
        # Something must have been looked at: a program that skips everything has proven nothing.
        return any(result.passed for result in self.results) and not self.failures()

    def failures(self) -> list[str]:
        # What is wrong with all graphs alike is said once.
        roles: dict[str, dict[str, None]] = {}
        for result in self.results:
            if result.passed is False:
                roles.setdefault(result.reason or "", {})[result.subject.rpartition(" ")[2]] = None
        failed = [f"{', '.join(of)}: {reason}" for reason, of in roles.items()]
        failed += [f"{image.path}: {image.reason}" for image in self.images if image.passed is False]
        if not failed and not any(result.passed for result in self.results):
            failed.append("the program skipped every graph, so nothing was proven")
        return failed

    def as_dict(self) -> dict[str, Any]:
        return {
            "bundle": self.bundle,
            "command": list(self.command),
            "format": self.format,
            "passed": bool(self),
            "results": [asdict(result) for result in self.results],
            "images": [asdict(image) for image in self.images],
        }


def conform(
    bundle: Bundle,
    command: Sequence[str],
    *,
    format: str | None = None,
    images: Sequence[Path] = (),
    image_tolerance: float | None = None,
    timeout: float = 60.0,
) -> ConformReport:
    """Feed the golden inputs of every graph to a program, and judge its answers as ``aedeploy verify`` judges ours.

    Args:
        command: the program and its arguments. It is started once, and again where it ended before its time.
        format: of the graphs that the program computes: its tolerances are what judges. By default the first of the
            bundle's of float32 images, the more exact ones first.
        images: files that the program reads itself, where it can; its latents are held against ours.
        image_tolerance: the largest difference of a latent that is allowed there; None: it is told, not judged.
        timeout: seconds that an answer may take.

    Raises:
        ConfigError: there is no command, or images were given of a model that is told how much noise they have.
        NotStartedError: it cannot be started.
        BundleError: the bundle has no exported graph of float32 images, or none of that format.
        IntegrityError: its golden file is not what the manifest says.
    """
    if not command:
        raise ConfigError("There is no program to check: name it after --, such as  aedeploy conform -- ./program")
    if images and bundle.manifest.noise is not None:
        raise ConfigError(
            f"The model of bundle {bundle.name!r} is told how much noise an image has, for which the protocol's "
            "request for an image file has no place: leave --images out."
        )
    chosen = _format(bundle, format)
    golden = load_golden(bundle.file(bundle.manifest.golden))
    results: list[VerifyResult] = []
    read: list[ImageResult] = []
    with Program(command, timeout=timeout) as program:
        problem = _handshake(program, chosen)
        if problem is None:
            for role in ROLES:
                if bundle.manifest.graph(role, chosen) is not None:
                    results += _of_graph(bundle, bundle.graph(role, chosen), golden, program)
            read += _images(bundle, chosen, program, images, image_tolerance)
        else:
            results.append(problem)
    return ConformReport(
        bundle=bundle.name, command=tuple(command), format=chosen, results=tuple(results), images=tuple(read)
    )


def _handshake(program: Program, format: str) -> VerifyResult | None:
    """Start the program; what is wrong if it speaks another protocol, or none."""
    try:
        _ = program.process
    except NotStartedError:
        raise
    except BackendError as error:
        return VerifyResult(check="golden", subject=f"{format} handshake", passed=False, reason=str(error))
    return None


def _of_graph(bundle: Bundle, graph: GraphRecord, golden: list[GoldenCase], program: Program) -> Iterator[VerifyResult]:
    answered = False

    def open_role(role: Role) -> ProgramRunner:
        return ProgramRunner(bundle.graph(role, graph.format), program)

    for result in golden_results(bundle, graph, golden, open_role):
        if result.passed is None and answered:
            # Else one could leave out what one gets wrong.
            result = replace(
                result, passed=False, reason=f"a graph is skipped whole, and this in part: {result.reason}"
            )
        answered = True
        yield result


def _format(bundle: Bundle, asked: str | None) -> str:
    have = [graph.format for graph in bundle.manifest.graphs if graph.pixels == "float32"]
    # Those that compute in less than float32 last: a program that is not said to use one is judged strictly.
    have.sort(key=lambda name: (name in ("onnx-int8", "onnx-fp16"), name != "onnx", name))
    if asked is not None and asked not in have:
        has = ", ".join(dict.fromkeys(have)) or "none"
        raise BundleError(f"Bundle {bundle.name!r} has no {asked} graph of float32 images (it has {has}).")
    if not have:
        raise BundleError(f"Bundle {bundle.name!r} has no exported graph of float32 images: run  aedeploy export")
    return asked or have[0]


def _images(
    bundle: Bundle, format: str, program: Program, images: Sequence[Path], tolerance: float | None
) -> Iterator[ImageResult]:
    if not images:
        return
    reference = load(bundle, format=format)
    for path in images:
        if not can_be_named(path.absolute()):
            reason = "its name has a line break or is not Unicode: the protocol has no place for it"
            yield ImageResult(path=str(path), passed=None, reason=reason)
            continue
        try:
            got = program.process.image(path.absolute())
        except SkippedError as error:
            yield ImageResult(path=str(path), passed=None, reason=f"skipped: {error}")
            return  # one that reads no files reads none of the others
        except AedeployError as error:
            readable = _readable(reference, path)
            yield ImageResult(path=str(path), passed=False if readable else None, reason=str(error))
            continue
        yield _compared(reference, path, got, tolerance)


def _readable(reference: Codec, path: Path) -> bool:
    """Whether we can read it: a program need not read what we cannot."""
    try:
        reference.encode([path])
    except AedeployError:
        return False
    return True


def _compared(reference: Codec, path: Path, got: dict[str, np.ndarray], tolerance: float | None) -> ImageResult:
    try:
        want = reference.encode_all([path])
    except AedeployError as error:
        return ImageResult(path=str(path), passed=None, reason=f"the program reads it, aedeploy does not: {error}")
    latent = got.get("latent")
    if latent is None or latent.shape != want["latent"].shape or latent.dtype != want["latent"].dtype:
        has = "no latent" if latent is None else f"a latent {latent.dtype} {list(latent.shape)}"
        return ImageResult(
            path=str(path), passed=False, reason=f"it gave {has} where {list(want['latent'].shape)} float32 was due"
        )
    distance = float(np.abs(latent - want["latent"]).max(initial=0.0))
    otherwise = decisions = None
    if "indices" in want and "indices" in got and got["indices"].shape == want["indices"].shape:
        otherwise, decisions = int(np.count_nonzero(got["indices"] != want["indices"])), want["indices"].size
    finite = bool(np.isfinite(latent).all())
    reason = None
    if not finite:
        reason = "its latent is not finite"
    elif tolerance is not None and not distance <= tolerance:
        reason = f"its latent is off by {distance:.1e}"
    return ImageResult(
        path=str(path),
        passed=False if reason else None if tolerance is None else True,
        reason=reason,
        max_abs=distance if finite else None,
        peak=float(np.abs(want["latent"]).max(initial=0.0)),
        otherwise=otherwise,
        decisions=decisions,
    )
