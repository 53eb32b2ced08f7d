"""What is measured: every variant that a bundle has on every device that was asked for, and PyTorch beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from aedeploy.bundle import Bundle, GraphRecord
from aedeploy.bundle.manifest import Pixels, Role, variant_name
from aedeploy.errors import BundleError, ConfigError, MissingDependencyError, UnknownNameError
from aedeploy.names import load_named
from aedeploy.runtime.open import BACKENDS, backend_names, backend_of, load_backend

#: The backend that runs the bundle's own weights.
BASELINE = "eager"
#: What that row is called.
BASELINE_NAME = "PyTorch (eager)"

Variant = tuple[str, Pixels]

#: baseline: PyTorch itself · passed, failed parity, unchecked: measured · the others: not, and the reason says why.
Status = Literal[
    "baseline",
    "passed",
    "failed parity",
    "unchecked",
    "failed to export",
    "engine missing",
    "failed to run",
    "left out",
]
MEASURED: frozenset[Status] = frozenset({"baseline", "passed", "failed parity", "unchecked"})


@dataclass(frozen=True, kw_only=True)
class Absence:
    """A variant that the bundle does not have, and why."""

    status: Status
    reason: str


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One variant on one device. ``format`` None: the bundle's own weights, in PyTorch."""

    backend: str | None
    format: str | None
    pixels: Pixels = "float32"
    device: str
    status: Status
    reason: str | None = None
    bytes: int | None = None
    precision: str = "float32"

    @property
    def name(self) -> str:
        """Format and pixels, for a person."""
        return BASELINE_NAME if self.format is None else variant_name(self.format, self.pixels)


def variants_here(bundle: Bundle, formats: Sequence[str] | None, pixels: Sequence[Pixels] | None) -> list[Variant]:
    """What a bundle has graphs of, those of ``formats`` and ``pixels`` alone where they are given.

    Raises:
        UnknownNameError: nothing runs such a format.
    """
    for format in formats or ():
        backend_of(format)
    have = sorted({(graph.format, graph.pixels) for graph in bundle.manifest.graphs})
    return [(f, p) for f, p in have if (not formats or f in formats) and (not pixels or p in pixels)]


def contenders(
    bundle: Bundle,
    role: Role,
    variants: Sequence[Variant],
    devices: Sequence[str],
    absent: Mapping[Variant, Absence] | None = None,
    module: str | None = None,
) -> list[Contender]:
    """Every variant on every device that its backend names, PyTorch first where it is installed.

    Raises:
        ConfigError: no backend there is knows one of the devices.
        BundleError: the bundle has no such graph.
    """
    _check_devices(devices)
    found: list[Contender] = []
    for device in devices:
        found += _baseline(bundle, device, module)
        for format, pixels in variants:
            record = bundle.manifest.graph(role, format, pixels)
            if record is None:
                raise BundleError(f"Bundle {bundle.name!r} has no {variant_name(format, pixels)} {role} graph.")
            found += _contender(record, device)
        found += [
            Contender(backend=None, format=format, pixels=pixels, device=device, **vars(absence))
            for (format, pixels), absence in (absent or {}).items()
        ]
    return found


def _baseline(bundle: Bundle, device: str, module: str | None) -> list[Contender]:
    """None where PyTorch is not installed, or does not know the device."""
    baseline = load_named(BACKENDS, BASELINE, "backend")
    if baseline.missing() or device not in baseline.DEVICES:
        return []
    model = bundle.manifest.recipe.get("model")
    own = model.get("module") if isinstance(model, Mapping) else None
    one = Contender(
        backend=BASELINE, format=None, device=device, status="baseline", bytes=bundle.manifest.weights.bytes
    )
    if own and own != module:
        reason = f"its model is somebody's own code, which is imported only if it is named again: --module {own}"
        one = replace(one, status="left out", reason=reason)
    return [one]


def _contender(record: GraphRecord, device: str) -> list[Contender]:
    """None where the format's backend does not know the device."""
    size = record.file.bytes + (record.data.bytes if record.data else 0)
    precision = record.quantisation.precision if record.quantisation else "float32"

    def made(status: Status, backend: str | None, reason: str | None = None) -> list[Contender]:
        return [
            Contender(
                backend=backend,
                format=record.format,
                pixels=record.pixels,
                device=device,
                status=status,
                reason=reason,
                bytes=size,
                precision=precision,
            )
        ]

    try:
        backend = backend_of(record.format)
        if device not in load_backend(backend).DEVICES:
            return []
    except (MissingDependencyError, UnknownNameError) as error:
        return made("engine missing", None, str(error))
    return made("failed parity" if record.parity == "failed" else record.parity, backend)


def _check_devices(devices: Sequence[str]) -> None:
    known = sorted({device for name in backend_names() for device in load_named(BACKENDS, name, "backend").DEVICES})
    for device in devices:
        if device not in known:
            raise ConfigError(f"--device {device}: choose from {', '.join(known)}.")
