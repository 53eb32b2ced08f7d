"""Latents across formats: the encoder of each variant into the decoder of every other one.

An index built by one program is decoded by another, so what one writes the other must understand. Tried with graphs
that are right by themselves: of one that is wrong, nothing more would be learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from aedeploy.bundle import Bundle
from aedeploy.bundle.manifest import Pixels
from aedeploy.errors import AedeployError
from aedeploy.parity.decisions import OtherChoice, compare_all
from aedeploy.parity.expected import Expectation, Rounding
from aedeploy.parity.report import COMPOSED, CaseResult, GraphResult
from aedeploy.parity.tolerances import Tolerances
from aedeploy.runtime.open import backend_of, open_graph
from aedeploy.runtime.runner import Arrays

#: Few calls of each pair: what the graphs make of everything else, each has shown by itself.
_TRIED = {("real", 7), ("real", 2), ("noise", 2)}


@dataclass(frozen=True, kw_only=True)
class Latent:
    """What an encoder made of one case, and what is to be decoded from it."""

    expectation: Expectation
    latent: np.ndarray
    other: OtherChoice | None


@dataclass(frozen=True, kw_only=True)
class Halves:
    """A variant with an encoder and a decoder: its latents of some cases, for other decoders."""

    variant: tuple[str, Pixels]
    latents: tuple[Latent, ...]

    @classmethod
    def of(
        cls,
        variant: tuple[str, Pixels],
        encode: Callable[[Mapping[str, np.ndarray]], Arrays] | str,
        expected: Sequence[Expectation],
        others: Mapping[int, OtherChoice],
    ) -> Halves:
        """Run the encoder; where it fails there is no latent, and its own check says why."""
        latents = []
        for at, expectation in enumerate(expected):
            if isinstance(encode, str) or (expectation.case.kind, expectation.case.batch) not in _TRIED:
                continue
            given = expectation.of_bytes if variant[1] == "uint8" else expectation
            try:
                latent = encode(given.inputs)["latent"]
            except AedeployError:
                continue
            latents.append(Latent(expectation=expectation, latent=latent, other=others.get(at)))
        return cls(variant=variant, latents=tuple(latents))


def cross(
    bundle: Bundle,
    halves: Sequence[Halves],
    results: Sequence[GraphResult],
    tolerances: Callable[[tuple[str, Pixels]], Tolerances],
    rounding: Rounding,
) -> list[GraphResult]:
    """Every pair of different variants, judged by the looser of their tolerances."""
    wrong = {(found.format, found.pixels) for found in results if not found and found.role != "autoencoder"}
    sound = [half for half in halves if half.variant not in wrong]
    found: dict[tuple[int, int], GraphResult] = {}
    for to, receiver in enumerate(sound):
        if len(sound) == 1:
            break
        format, pixels = receiver.variant
        with open_graph(bundle, "decoder", format=format, pixels=pixels, allow_failed=True) as decoder:
            for at, giver in enumerate(sound):
                if at == to:
                    continue
                allowed = tolerances(giver.variant).looser(tolerances(receiver.variant))
                decode = partial(_decoded, decoder.run, pixels, allowed, rounding)
                found[at, to] = GraphResult(
                    role=COMPOSED,
                    format=giver.variant[0],
                    pixels=giver.variant[1],
                    backend=" → ".join(dict.fromkeys((backend_of(giver.variant[0]), backend_of(format)))),
                    decoder=receiver.variant,
                    cases=tuple(decode(latent) for latent in giver.latents),
                    tolerances=allowed,
                )
    return [found[pair] for pair in sorted(found)]


def _decoded(
    decode: Callable[[Mapping[str, np.ndarray]], Arrays],
    pixels: Pixels,
    tolerances: Tolerances,
    rounding: Rounding,
    given: Latent,
) -> CaseResult:
    expectation, case = given.expectation, given.expectation.case
    result = partial(CaseResult, kind=case.kind, batch=case.batch, size=case.size, judged=tolerances.judges(case.kind))
    try:
        got = {"reconstruction": decode({"latent": given.latent})["image"]}
    except AedeployError as error:
        return result(error=str(error))
    reference = (expectation.of_bytes if pixels == "uint8" else expectation).wanted
    wanted = reference if given.other is None else given.other.expected(got, reference)
    return result(
        outputs=compare_all(
            got,
            wanted,
            masked=False,
            tolerances=tolerances.on(case.kind),
            rounding=partial(rounding, COMPOSED, expectation),
        )
    )
