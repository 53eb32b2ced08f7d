"""What every graph is to give: the calls, their inputs, and what PyTorch makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from aedeploy.bundle import Bundle
from aedeploy.names import load_named
from aedeploy.parity.decisions import Judge
from aedeploy.parity.inputs import BATCHES, FAR_SPREADS, PRIOR_SPREAD, ImageCase, latents_like
from aedeploy.parity.report import COMPOSED
from aedeploy.parity.tolerances import MOST_ROUNDING, ROUNDING_FACTOR
from aedeploy.runtime.codec import in_bytes
from aedeploy.runtime.open import BACKENDS
from aedeploy.runtime.runner import Arrays, GraphRunner

REFERENCE = "eager"


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """One call to make and what must come out: what is in it, the inputs, the reference's outputs."""

    case: ImageCase
    inputs: Arrays
    wanted: Arrays

    @property
    def of_bytes(self) -> Expectation:
        """The same call of a graph whose images are uint8 [batch, H, W, C]."""
        return replace(self, inputs=in_bytes(self.inputs), wanted=in_bytes(self.wanted))


def expectations(reference: Mapping[str, GraphRunner], cases: Iterable[ImageCase]) -> dict[str, list[Expectation]]:
    """What the reference makes of every case, by role; the composition is expected to give the whole's result."""
    expected: dict[str, list[Expectation]] = {role: [] for role in reference}

    def expect(role: str, case: ImageCase, inputs: Arrays, wanted: Arrays) -> None:
        expected.setdefault(role, []).append(Expectation(case=case, inputs=inputs, wanted=wanted))

    for case in cases:
        image = case.inputs
        whole = reference["autoencoder"].run(image)
        expect("autoencoder", case, image, whole)
        if "encoder" not in reference:
            continue
        codes = reference["encoder"].run(image)
        latent = {"latent": codes["latent"]}
        expect("encoder", case, image, codes)
        expect("decoder", case, latent, reference["decoder"].run(latent))
        expect(COMPOSED, case, image, whole)
        if case.kind == "real" and case.batch == max(BATCHES):
            for batch in BATCHES:
                beyond = {"latent": latents_like(codes["latent"], batch, PRIOR_SPREAD)}
                wide = ImageCase(kind="prior", images_BCHW=case.images_BCHW[:batch])
                expect("decoder", wide, beyond, reference["decoder"].run(beyond))
            far = ImageCase(kind="far", images_BCHW=case.images_BCHW[:2])
            expect("decoder", far, *_saturating(reference["decoder"], codes["latent"]))
    return expected


def _saturating(decoder: GraphRunner, latents: np.ndarray) -> tuple[Arrays, Arrays]:
    """Latents so far out that the decoder's clamp has something to do, and what comes of them."""
    for spread in FAR_SPREADS:
        far = {"latent": latents_like(latents, 2, spread)}
        wanted = decoder.run(far)
        if wanted["image"].min() <= 0.0 or wanted["image"].max() >= 1.0:
            break
    return far, wanted


class Rounding:
    """How much of a difference PyTorch's own float32 explains: measured against float64, where somebody asks."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._exact: dict[str, GraphRunner] = {}

    def __call__(self, role: str, expectation: Expectation, output: str) -> float:
        """What the tolerance of an output may be widened by; ``expectation`` of float32 pixels."""
        role = "autoencoder" if role == COMPOSED else role
        if role not in self._exact:
            eager = load_named(BACKENDS, REFERENCE, "backend")
            self._exact[role] = eager.open_exact(self._bundle, role)
        exact = self._exact[role].run(expectation.inputs)[output]
        wanted = expectation.wanted[output]
        error = float(np.abs(wanted - exact).max(initial=0.0))
        # Images are in [0, 1]; a latent is of any size.
        return min(ROUNDING_FACTOR * error, MOST_ROUNDING * max(1.0, float(np.abs(wanted).max(initial=0.0))))


class Choices:
    """What measures how good an encoder's choices are: the model itself in float64, opened where somebody asks."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._verdicts: object = None
        latent = bundle.manifest.latent
        self.masked = latent is not None and latent.masked
        outputs = {spec.name for graph in bundle.manifest.graphs for spec in graph.outputs}
        #: Whether the encoder decides anything: which code, or which entries are kept.
        self.made = self.masked or "indices" in outputs

    def judge(self, images_BCHW: np.ndarray) -> Judge | None:
        """Of codes of these images, float32 [batch, C, H, W]; None of a model that decides nothing."""
        if not self.made:
            return None
        if self._verdicts is None:
            self._verdicts = load_named(BACKENDS, REFERENCE, "backend").open_verdicts(self._bundle) or False
        verdicts = self._verdicts
        if not callable(verdicts):
            return None
        return lambda codes, rows: verdicts(images_BCHW[rows], {name: array[rows] for name, array in codes.items()})
