"""What docs/embedding.md says of tolerances is what ``aedeploy conform`` and ``aedeploy verify`` do.

The judge that was written from the page and ours are given the same outputs: golden ones that were changed by
something just inside of what is allowed, or just outside, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from embed import specified_page as page
from embed.specified import Tensor
from embed.specified_judge import (
    FLOAT16,
    FLOAT32,
    INT8,
    Bounds,
    Judge,
    Tensors,
    allowed,
    bounded,
    wanted_of_autoencoder,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle, GraphRecord
from aedeploy.bundle.golden import GoldenCase
from aedeploy.bundle.manifest import Quantisation
from aedeploy.parity.tolerances import tolerances_of
from aedeploy.parity.verify import golden_results
from aedeploy.runtime.runner import Arrays, RunnerLifetime

ROWS = {"onnx": FLOAT32, "onnx-fp16": FLOAT16, "onnx-int8": INT8}
PRECISIONS = {"onnx-fp16": "float16", "onnx-int8": "int8"}
DIMENSION, SIDE, PIXELS = 12, 5, (1, 6, 6)


class Canned(RunnerLifetime):
    """A graph that gives what it is told to."""

    inputs = outputs = ()

    def __init__(self, answer: Callable[[Mapping[str, np.ndarray]], Arrays]) -> None:
        self.run = answer


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "tiny")


def graph_of(bundle: Bundle, role: str, format: str) -> GraphRecord:
    record = bundle.graph(role, "onnx")
    quantisation = Quantisation(precision=PRECISIONS[format]) if format in PRECISIONS else None  # type: ignore[arg-type]
    return record.model_copy(update={"format": format, "quantisation": quantisation})


def masked_one(bundle: Bundle, masked: bool) -> Bundle:
    assert bundle.manifest.latent
    latent = bundle.manifest.latent.model_copy(update={"masked": masked})
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"latent": latent}))


def verdict_of_ours(
    bundle: Bundle, role: str, format: str, cases: list[GoldenCase], answers: dict[str, Callable[..., Arrays]]
) -> bool:
    record = graph_of(bundle, role, format)
    return all(r.passed for r in golden_results(bundle, record, cases, lambda role: Canned(answers[role])))


def tensors(arrays: Arrays) -> Tensors:
    return {name: Tensor(str(a.dtype), a.shape, a.ravel().tolist()) for name, a in arrays.items()}


def verdict_of_the_page(bounds: Bounds, masked: bool, pairs: list[tuple[Arrays, Arrays]]) -> bool:
    judge = Judge(bounds, masked)
    for got, want in pairs:
        judge.case(tensors(got), tensors(want))
    return judge.verdict()


def golden(kind: str, batch: int, random: np.random.Generator) -> Arrays:
    """Outputs as an encoder of that kind, or a decoder, gives them."""
    if kind == "image":
        # Beside an edge between two bytes, where a small error changes a byte.
        edges = (random.integers(0, 255, (batch, *PIXELS)) + 0.5) / 255
        return {"image": (edges + random.choice([-2e-6, 2e-6], edges.shape)).astype(np.float32)}
    if kind == "vq":
        indices = random.integers(0, 8, (batch, SIDE, SIDE))
        codebook = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
        return {"latent": np.ascontiguousarray(np.moveaxis(codebook[indices], -1, 1)), "indices": indices}
    latent = random.normal(0, 3, (batch, DIMENSION)).astype(np.float32)
    if kind == "masked":
        latent[latent < np.sort(latent, axis=1)[:, -4:][:, :1]] = 0
    return {"latent": latent, "logvar": latent[:, ::-1].copy()} if kind == "gaussian" else {"latent": latent}


def changed(want: Arrays, how: str, amount: float, bounds: Bounds, random: np.random.Generator) -> Arrays:
    """Another engine's outputs: off by ``amount`` of what is allowed, or in another way."""
    got = {name: array.copy() for name, array in want.items()}
    name = str(random.choice([name for name in got if name != "indices"]))
    array, bound = got[name], bounds.of(name)
    if how == "one":
        limit = bounded(bound, array.ravel().tolist())
        array.flat[random.integers(array.size)] += np.float32(amount * (limit if np.isfinite(limit) else 0.1))
    elif how == "all":
        # The relative L2 and the mean square of all values together.
        error = random.normal(size=array.shape)
        norm = (bound.norm or 1e-6) * np.sqrt(2) * np.linalg.norm(array)
        if bound.psnr is not None:
            norm = np.sqrt(2 * 10 ** (-bound.psnr / 10) * array.size)
        array += (error * (amount * norm / np.linalg.norm(error))).astype(np.float32)
    elif how == "edges" and name == "image":
        some = random.choice(array.size, min(int(2 * amount), 4), replace=False)
        edges = (np.floor(array.flat[some].astype(np.float64) * 255) + 0.5) / 255
        array.flat[some] = (2 * edges - array.flat[some]).astype(np.float32)
    elif how == "places" and "indices" in got:
        places = random.choice(got["indices"].size, min(int(2 * amount), 20), replace=False)
        other = np.isin(np.arange(got["indices"].size), places).reshape(got["indices"].shape)
        got["indices"][other] += 1
        got["latent"][np.broadcast_to(other[:, None], got["latent"].shape)] += 1
    elif how == "entries" and not array.all():
        choose_otherwise(array, max(1, min(int(2 * amount), 4)), random)
    elif how in ("nan", "inf"):
        array.flat[random.integers(array.size)] = np.float32(how)
    elif how == "dtype":
        got[name] = array.astype(np.float64)
    elif how == "shape":
        got[name] = array[..., :-1]
    elif how == "name":
        got["other"] = got.pop(name)
    return got


def choose_otherwise(latent: np.ndarray, entries: int, random: np.random.Generator) -> None:
    """Leave out entries of a masked latent [batch, D]: the least ones or any; with or without another in its place."""
    least, swapped = random.random() < 0.7, random.random() < 0.7
    for _ in range(entries):
        kept = np.argwhere(latent != 0)
        row, column = kept[latent[latent != 0].argmin() if least else random.integers(len(kept))]
        if swapped:
            left_out = np.flatnonzero(latent[row] == 0)
            latent[row, random.choice(left_out)] = latent[row, column] * np.float32(random.choice([1.0, 1.000001, 1.1]))
        latent[row, column] = 0


HOW = ("nothing", "one", "all", "edges", "places", "entries", "nan", "inf", "dtype", "shape", "name")


@pytest.mark.parametrize("format", ROWS)
@pytest.mark.parametrize("kind", ["plain", "gaussian", "vq", "masked", "image"])
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_the_same_outputs_pass(tiny: Bundle, format: str, kind: str, data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    bounds, masked, role = ROWS[format], kind == "masked", "decoder" if kind == "image" else "encoder"
    pairs = []
    for batch in (1, 3):
        how = data.draw(st.sampled_from(HOW))
        amount = data.draw(st.sampled_from((0.5, 0.99, 1.01, 1.5, 20.0)))
        want = golden(kind, batch, random)
        pairs.append((changed(want, how, amount, bounds, random), want))
    cases = [
        GoldenCase(role=role, batch=len(next(iter(want.values()))), inputs={"case": np.array(at)}, outputs=want)
        for at, (_, want) in enumerate(pairs)
    ]
    answers = {role: lambda inputs: pairs[int(inputs["case"])][0]}
    bundle = masked_one(tiny, masked)
    assert verdict_of_the_page(bounds, masked, pairs) == verdict_of_ours(bundle, role, format, cases, answers)


def decoded(latent: np.ndarray) -> np.ndarray:
    """A decoder: whatever latent it is given, an image follows from it."""
    weights = np.random.default_rng(1).normal(size=(int(np.prod(latent.shape[1:])), int(np.prod(PIXELS))))
    return (1 / (1 + np.exp(-latent.reshape(len(latent), -1) @ weights))).astype(np.float32).reshape(-1, *PIXELS)


@pytest.mark.parametrize("format", ROWS)
@pytest.mark.parametrize("kind", ["vq", "masked", "plain"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_same_images_pass_where_an_encoder_decided_otherwise(
    tiny: Bundle, format: str, kind: str, data: st.DataObject
) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    bounds, masked, batch = ROWS[format], kind == "masked", 3
    image = random.random((batch, *PIXELS), np.float32)
    code = golden(kind, batch, random)
    how = data.draw(st.sampled_from(("nothing", "places", "entries", "one")))
    mine = changed(code, how, data.draw(st.sampled_from((0.5, 20.0))), bounds, random)
    want = {"reconstruction": decoded(code["latent"])}
    follows = data.draw(st.sampled_from(("the code", "the golden code", "neither")))
    got = {"reconstruction": decoded(mine["latent"] if follows == "the code" else code["latent"])}
    if follows == "neither":
        got["reconstruction"][0] = 1 - got["reconstruction"][0]
    of_the_encoder = image if data.draw(st.booleans()) else image[::-1].copy()
    cases = [
        GoldenCase(role="encoder", batch=batch, inputs={"image": of_the_encoder}, outputs=code),
        GoldenCase(role="autoencoder", batch=batch, inputs={"image": image}, outputs=want),
    ]
    answers = {
        "encoder": lambda inputs: mine,
        "decoder": lambda inputs: {"image": decoded(inputs["latent"])},
        "autoencoder": lambda inputs: got,
    }
    found = verdict_of_ours(masked_one(tiny, masked), "autoencoder", format, cases, answers)

    wanted = tensors(want)
    chooses = masked or "indices" in code
    if chooses and np.array_equal(of_the_encoder, image) and Judge(bounds, masked).case(tensors(mine), tensors(code)):
        images = decoded(mine["latent"]).reshape(batch, -1).tolist()
        wanted["reconstruction"] = wanted_of_autoencoder(
            tensors(got)["reconstruction"], wanted["reconstruction"], tensors(mine), tensors(code), images.__getitem__
        )
    judge = Judge(bounds, masked=False)
    judge.case(tensors(got), wanted)
    assert judge.verdict() == found


def test_the_table_of_tolerances_is_ours() -> None:
    heads = ["onnx", "onnx-fp16", "onnx-int8"]
    start = page.TEXT.index("| | formats in float32 |")
    rows = page.table(page.TEXT[start:].partition("\n\n")[0])
    for at, format in enumerate(heads):
        ours = tolerances_of(format).on("golden")
        known = [
            ours.image.absolute,
            ours.image.psnr,
            ours.latent.absolute,
            ours.latent.relative or None,
            ours.latent.norm,
            ours.decisions,
            ours.changed_pixels,
        ]
        assert [None if row[at + 1] == "–" else float(row[at + 1]) for row in rows] == known
        assert ours.logvar == ours.latent
        mine: Any = ROWS[format]
        assert known == [
            mine.image.absolute,
            mine.image.psnr,
            mine.latent.absolute,
            mine.latent.relative or None,
            mine.latent.norm,
            mine.decisions,
            mine.changed,
        ]


def test_the_examples_of_limits_are_right() -> None:
    text = " ".join(page.TEXT.split())
    of = re.search(r"largest value of a golden latent is ([\d.]+), negative or not; .* off by ([\d.]+)\.", text)
    assert of
    assert bounded(FLOAT32.latent, [-float(of[1]), 1.0]) == pytest.approx(float(of[2]))
    assert "of one index, none may differ; of 147 (3 images of 7 × 7), one may" in text
    assert (allowed(1, FLOAT32.decisions, 1), allowed(1, FLOAT32.decisions, 147)) == (0, 1)


def test_what_is_just_inside_passes_and_what_is_just_outside_does_not() -> None:
    random = np.random.default_rng(0)
    for bounds, name, how in ((FLOAT32, "image", "one"), (FLOAT16, "image", "one"), (INT8, "image", "all")):
        want = golden("image", 3, random) if how == "all" else {name: np.full((3, *PIXELS), 0.25, np.float32)}
        for amount, passes in ((0.99, True), (1.01, False)):
            pair = (changed(want, how, amount, bounds, random), want)
            assert verdict_of_the_page(bounds, False, [pair]) == passes, (name, how, amount)


@pytest.mark.parametrize(("bytes_that_change", "passes"), [(0, True), (2, True), (3, False)])
def test_two_bytes_may_change_and_no_more(tiny: Bundle, bytes_that_change: int, passes: bool) -> None:
    want = {"image": np.full((1, *PIXELS), (100.5 / 255) - 2e-6, np.float32)}
    got = {"image": want["image"].copy()}
    got["image"].flat[:bytes_that_change] += np.float32(4e-6)
    assert verdict_of_the_page(FLOAT32, False, [(got, want)]) == passes
    cases = [GoldenCase(role="decoder", batch=1, inputs={}, outputs=want)]
    assert verdict_of_ours(tiny, "decoder", "onnx", cases, {"decoder": lambda inputs: got}) == passes
