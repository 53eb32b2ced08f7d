"""How far an exported graph may be from PyTorch: one row a format, printed beside every figure it judges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from math import inf, isfinite
from typing import Any

import numpy as np

from aedeploy.errors import ConfigError, UnknownNameError
from aedeploy.runtime.open import backend_of

#: The kinds of input that are images as a model is given them in its life: the bundle's held-out ones, image files,
#: golden vectors. The others (noise, black, white …) are extremes.
REAL = ("real", "files", "golden")


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """What is allowed of one kind of output; None: no bound of that sort.

    Of every call:                       max |candidate − reference| ≤ absolute + relative × max |reference|
    Of all calls of a graph together:    ‖candidate − reference‖ ≤ norm × ‖reference‖, and PSNR ≥ psnr (dB, of images)
    """

    absolute: float | None
    relative: float = 0.0
    norm: float | None = None
    psnr: float | None = None

    def limit(self, reference: np.ndarray) -> float | None:
        """The largest error allowed in a call, in the output's own units."""
        if self.absolute is None:
            return None
        return self.absolute + self.relative * float(np.max(np.abs(reference), initial=0.0))

    def looser(self, other: Tolerance) -> Tolerance:
        """Whichever of the two allows the larger error in a call; where neither bounds it, what either allows."""
        if self.absolute is not None and other.absolute is not None:
            return self if self.absolute >= other.absolute else other
        if self.absolute is not None or other.absolute is not None:
            return self if self.absolute is None else other
        return Tolerance(
            absolute=None,
            norm=_most(self.norm, other.norm),
            psnr=None if self.psnr is None or other.psnr is None else min(self.psnr, other.psnr),
        )


@dataclass(frozen=True, kw_only=True)
class Tolerances:
    """What is allowed of a format's graphs."""

    image: Tolerance  # in [0, 1]
    latent: Tolerance
    logvar: Tolerance
    changed_pixels: float | None  # the share of 8-bit pixels that may change, over all calls of a graph
    decisions: float  # the share of indices, or of entries of a masked latent, that may fall otherwise in a call
    gap: float  # how much worse, relatively, a choice may be than PyTorch's where it falls otherwise
    judged: tuple[str, ...] | None = None  # the kinds of input that these figures judge; None: all of them
    elsewhere: float | None = None  # the largest error of an image on other kinds of input; None: any

    def of(self, output: str) -> Tolerance:
        """Of an output, by its name."""
        found: Tolerance = getattr(self, kind_of(output))
        return found

    def judges(self, kind: str) -> bool:
        """Whether these figures judge inputs of that kind; outputs of any other must be finite and well shaped."""
        return self.judged is None or kind in self.judged

    def on(self, kind: str) -> Tolerances:
        """What is allowed on inputs of that kind."""
        return self if self.judges(kind) else replace(_ANYTHING, image=Tolerance(absolute=self.elsewhere))

    def looser(self, other: Tolerances) -> Tolerances:
        """What either allows: of two graphs in a row."""
        kinds = tuple(dict.fromkeys((*(self.judged or ()), *(other.judged or ()))))
        both = tuple(kind for kind in kinds if self.judges(kind) and other.judges(kind))
        elsewhere = [row.image.absolute if row.judged is None else row.elsewhere for row in (self, other)]
        return Tolerances(
            image=self.image.looser(other.image),
            latent=self.latent.looser(other.latent),
            logvar=self.logvar.looser(other.logvar),
            changed_pixels=_most(self.changed_pixels, other.changed_pixels),
            decisions=max(self.decisions, other.decisions),
            gap=max(self.gap, other.gap),
            judged=both if kinds else None,
            elsewhere=_most(*elsewhere) if kinds else None,
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _most(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else max(one, other)


_FREE = Tolerance(absolute=None)
_ANYTHING = Tolerances(image=_FREE, latent=_FREE, logvar=_FREE, changed_pixels=None, decisions=1.0, gap=inf)

#: Graphs that compute in float32, in whatever format. Two ways of adding up the same float32 numbers differ by about
#: 1e-6 of the largest; a wrong weight, order or normalisation differs by 1e-3 and more. Pixels change where a value
#: lies on the edge between two bytes; decisions fall otherwise where two choices are equally good to within 1e-5 of
#: the numbers that decide, as in one place of 10,000. A wrong codebook, k or threshold decides otherwise by more.
FLOAT32 = Tolerances(
    image=Tolerance(absolute=1e-5),
    latent=Tolerance(absolute=1e-5, relative=1e-5),
    logvar=Tolerance(absolute=1e-5, relative=1e-5),
    changed_pixels=1e-4,
    decisions=1e-3,
    gap=1e-5,
)

#: The formats that compute in less: a number of 11 bits, and one of 8.
BY_FORMAT = {
    # On real images its largest error is 2e-3, and 60 dB and more are usual. On noise, and on latents from beyond the
    # data, a network may amplify the rounding of a number to 11 bits: to 0.23 in a pixel here and there (deep-mlp).
    "onnx-fp16": Tolerances(
        image=Tolerance(absolute=5e-3, psnr=50.0),
        latent=Tolerance(absolute=1e-2, relative=1e-2, norm=5e-3),
        logvar=Tolerance(absolute=1e-2, relative=1e-2, norm=5e-3),
        changed_pixels=None,
        decisions=2e-2,
        gap=5e-3,
        judged=REAL,
        elsewhere=0.5,
    ),
    # Ranges are measured on real images: on anything else an int8 graph promises nothing but numbers.
    "onnx-int8": Tolerances(
        image=Tolerance(absolute=None, psnr=35.0),
        latent=Tolerance(absolute=None, norm=0.1),
        logvar=Tolerance(absolute=None, norm=0.1),
        changed_pixels=None,
        decisions=0.1,
        gap=0.1,
        judged=REAL,
    ),
}

#: How many times PyTorch's own rounding error in float32, measured against float64, may be added to the tolerance of an
#: output, up to a bound. Of a network that amplifies rounding, on inputs that it was never trained for, no engine can
#: promise more; and an error that matters to an image (1e-3 and more) stays an error.
ROUNDING_FACTOR = 8.0
MOST_ROUNDING = 1e-4

_KINDS = {"image": "image", "reconstruction": "image", "latent": "latent", "logvar": "logvar", "indices": "indices"}

#: What --tolerance may say: the largest error of an output of that kind (of latents: + the same × the largest value),
#: the least PSNR of images, the largest relative L2 of latents, the shares, and the gap, as in the table.
OVERRIDES = ("image", "latent", "logvar", "psnr", "norm", "changed-pixels", "decisions", "gap")


def kind_of(output: str) -> str:
    """What an output is, by its name: ``image``, ``latent``, ``logvar`` or ``indices``."""
    return _KINDS[output]


def tolerances_of(format: str, overrides: Mapping[str, float] | None = None) -> Tolerances:
    """The row of a format, and over it what was asked for: :func:`parse_tolerances`, or a graph record's own."""
    found = BY_FORMAT.get(format, FLOAT32)
    for kind, value in overrides_of(format, overrides or {}).items():
        found = _overridden(found, kind, value)
    return found


def overrides_of(format: str, overrides: Mapping[str, float]) -> dict[str, float]:
    """Those of ``overrides`` that are for a format, by kind; one that names the format comes before one for all."""
    every = {key: value for key, value in overrides.items() if ":" not in key}
    own = {key.partition(":")[2]: value for key, value in overrides.items() if key.partition(":")[0] == format}
    return {**every, **own}


def parse_tolerances(options: Iterable[str]) -> dict[str, float]:
    """Read ``[FORMAT:]KIND=VALUE`` options, such as ``latent=1e-4`` or ``onnx-int8:psnr=30``, by what precedes the =.

    Raises:
        ConfigError: one is not of that form, or its value is no number that a tolerance can be.
        UnknownNameError: there is no such format or kind.
    """
    overrides: dict[str, float] = {}
    for option in options:
        key, equals, text = option.partition("=")
        format, colon, kind = key.rpartition(":")
        if colon:
            backend_of(format)
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not equals or not isfinite(value) or value < 0.0:
            raise ConfigError(f"--tolerance is [FORMAT:]KIND=VALUE, such as latent=1e-4: {option!r} is not.")
        if kind not in OVERRIDES:
            raise UnknownNameError("tolerance", kind, OVERRIDES)
        overrides[key] = value
    return overrides


def check_overrides(overrides: Mapping[str, float], formats: Iterable[str]) -> None:
    """Refuse an override that would change nothing.

    Raises:
        ConfigError: it is for a format that is not among ``formats``.
        UnknownNameError: there is no such kind of tolerance.
    """
    checked = list(dict.fromkeys(formats))
    for key in overrides:
        format, colon, kind = key.rpartition(":")
        if kind not in OVERRIDES:
            raise UnknownNameError("tolerance", kind, OVERRIDES)
        if colon and format not in checked:
            raise ConfigError(f"--tolerance {key}: no {format} graph is checked here, only {', '.join(checked)}.")


def describe_overrides(overrides: Mapping[str, float], formats: Iterable[str]) -> str:
    """What is judged otherwise than usual, and what the usual is, in one line; empty when nothing is."""
    parts = []
    for key, value in overrides.items():
        format, colon, kind = key.rpartition(":")
        rows = [format] if colon else [name for name in dict.fromkeys(formats) if f"{name}:{kind}" not in overrides]
        usual = dict.fromkeys(_usual(BY_FORMAT.get(name, FLOAT32), kind) for name in rows)
        parts.append(f"{key} = {value:g} (usually {' or '.join(usual)})")
    return "; ".join(parts)


def _overridden(row: Tolerances, kind: str, value: float) -> Tolerances:
    match kind:
        case "image":
            return replace(row, image=replace(row.image, absolute=value))
        case "latent":
            return replace(row, latent=replace(row.latent, absolute=value, relative=value))
        case "logvar":
            return replace(row, logvar=replace(row.logvar, absolute=value, relative=value))
        case "psnr":
            return replace(row, image=replace(row.image, psnr=value))
        case "norm":
            return replace(row, latent=replace(row.latent, norm=value), logvar=replace(row.logvar, norm=value))
        case "changed-pixels":
            return replace(row, changed_pixels=value)
        case "decisions":
            return replace(row, decisions=value)
        case "gap":
            return replace(row, gap=value)
    raise UnknownNameError("tolerance", kind, OVERRIDES)


def _usual(row: Tolerances, kind: str) -> str:
    if kind in ("image", "latent", "logvar"):
        tolerance: Tolerance = getattr(row, kind)
        if tolerance.absolute is None:
            return "no bound"
        return f"{tolerance.absolute:g}" + (f" + {tolerance.relative:g} × peak" if tolerance.relative else "")
    value = {"psnr": row.image.psnr, "norm": row.latent.norm}.get(kind, getattr(row, kind.replace("-", "_"), None))
    return "no bound" if value is None else f"{value:g}"
