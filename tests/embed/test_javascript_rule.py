"""The self-test in JavaScript passes what ``aedeploy verify`` passes, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embed.node_programs import JAVASCRIPT, encoded, evaluate, require_node

from aedeploy.parity.decisions import OtherChoice, compare_all, rows_decided_otherwise
from aedeploy.parity.tolerances import Tolerances, tolerances_of

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def modules() -> Path:
    """The folder of the shared modules."""
    require_node()
    return JAVASCRIPT


def as_json(array: np.ndarray) -> dict[str, Any]:
    kind = {"f": "float32", "i": "int64"}[array.dtype.kind]
    return {"dtype": kind, "shape": array.shape, "data": encoded(array)}


def decoder(latent: np.ndarray) -> np.ndarray:
    """A decoder so simple that JavaScript has it too: the latent itself, as an image of one row."""
    return latent.reshape(len(latent), 1, 1, -1).copy()


class Scenario:
    """Golden tensors and what a program makes of them, somewhere around what is allowed; and our own verdict."""

    def __init__(self, random: np.random.Generator) -> None:
        self.kind = str(random.choice(["point", "masked", "indices"]))
        self.places = int(random.choice([1, 3]))
        self.format = str(random.choice(["onnx", "onnx-fp16", "onnx-int8"]))
        self.tolerances: Tolerances = tolerances_of(self.format)
        size = {"absolute": 1e-5, "relative": 1e-5} if self.format == "onnx" else {"absolute": 1e-2, "relative": 1e-2}
        self.size = size["absolute"] * float(random.choice([0.3, 1.0, 3.0]))
        self.golden: dict[str, np.ndarray] = {}
        self.got: dict[str, Arrays] = {}
        self.cases: list[tuple[str, int]] = []
        self.expected: dict[tuple[str, int], bool] = {}
        codes: dict[int, tuple[Arrays, Arrays, bool]] = {}
        for batch in (1, 3):
            want = self._code(random, batch)
            got = self._otherwise(random, want)
            codes[batch] = (
                got,
                want,
                self._add("encoder", batch, {"image": np.ones((batch, 1, 2, 2), np.float32)}, got, want),
            )
        for batch in (1, 3):
            latent = random.random((batch, 4, 3, 1)).astype(np.float32)
            images = {"image": decoder(latent)}
            self._add("decoder", batch, {"latent": latent}, {"image": self._near(random, images["image"])}, images)
        for batch, (got, want, sound) in codes.items():
            golden = {"reconstruction": decoder(want["latent"])}
            # The graph may have decided as its encoder did, or as the golden one.
            decided = (got, got, want)[random.integers(3)]
            mine = {"reconstruction": self._near(random, decoder(decided["latent"]))}
            wanted = golden
            # Of another image, what the encoder decided says nothing.
            image = np.full((batch, 1, 2, 2), random.choice([1, 1, 1, 0]), np.float32)
            rows = rows_decided_otherwise(got, want) if self.kind != "point" and sound else np.zeros(batch, bool)
            if rows.any() and image.all():
                other = OtherChoice(rows=rows, images=decoder(got["latent"][rows]))
                wanted = dict(other.expected(mine, golden))
            self._add("autoencoder", batch, {"image": image}, mine, golden, wanted)

    def _code(self, random: np.random.Generator, batch: int) -> Arrays:
        latent = random.random((batch, 4, self.places, 1)).astype(np.float32) + np.float32(0.1)
        if self.kind == "masked":
            # The two largest of the four channels at each place.
            latent[latent < np.sort(latent, axis=1)[:, 2:3]] = 0
        if self.kind == "indices":
            return {"latent": latent, "indices": random.integers(0, 4, (batch, self.places, 1))}
        return {"latent": latent}

    def _near(self, random: np.random.Generator, array: np.ndarray) -> np.ndarray:
        off = random.uniform(-self.size, self.size, array.shape) * (random.random() < 0.7)
        return np.clip(array + off, -9, 9).astype(np.float32)

    def _otherwise(self, random: np.random.Generator, want: Arrays) -> Arrays:
        got = {name: array.copy() for name, array in want.items()}
        kept = got["latent"] != 0
        got["latent"] = np.where(kept, self._near(random, got["latent"]), 0).astype(np.float32)
        for _ in range(int(random.choice([0, 0, 1, 2]))):
            image, place = random.integers(len(kept)), random.integers(self.places)
            if self.kind == "indices":
                got["indices"][image, place, 0] += 1
                got["latent"][image, :, place, 0] += 0.5
            if self.kind == "masked":
                # The least that is kept, at its place or of all, or another, gives way: to one that is as large, to a
                # much larger one, or to none.
                values = want["latent"][image, :, place, 0]
                if random.random() < 0.3:
                    least = np.where(want["latent"] > 0, want["latent"], np.inf).argmin()
                    image, _, place, _ = np.unravel_index(least, want["latent"].shape)
                    values = want["latent"][image, :, place, 0]
                into, _, *kept_there = np.argsort(values)
                out = kept_there[random.choice([0, 0, 1])]
                if random.random() < 0.6:
                    got["latent"][image, into, place, 0] = values[out] + np.float32(random.choice([0, 0, 0.3]))
                got["latent"][image, out, place, 0] = 0
        if random.random() < 0.1:
            got["latent"].flat[0] = np.nan
        return got

    def _add(
        self, role: str, batch: int, inputs: Arrays, got: Arrays, want: Arrays, wanted: Arrays | None = None
    ) -> bool:
        self.golden.update({f"{role}/{batch}/{name}": array for name, array in {**inputs, **want}.items()})
        self.got[f"{role}/{batch}"] = got
        self.cases.append((role, batch))
        masked = self.kind == "masked" and role == "encoder"
        found = compare_all(got, wanted or want, masked=masked, tolerances=self.tolerances)
        self.expected[role, batch] = all(found)
        return all(found)

    def as_json(self) -> dict[str, Any]:
        def output(name: str) -> dict[str, Any]:
            bound = self.tolerances.of(name) if name != "indices" else None
            free = {"absolute": None, "relative": 0.0}
            # What is judged over all batches is another test's.
            limits = free if bound is None else {"absolute": bound.absolute, "relative": bound.relative}
            return {"name": name, **limits, "norm": None, "psnr": None}

        graphs = [
            {"role": role, "inputs": [{"name": given}], "outputs": [output(name) for name in names]}
            for role, given, names in (
                ("encoder", "image", ["latent", "indices"] if self.kind == "indices" else ["latent"]),
                ("decoder", "latent", ["image"]),
                ("autoencoder", "image", ["reconstruction"]),
            )
        ]
        return {
            "contract": {
                "latent": {"masked": self.kind == "masked"},
                "graphs": [{**graph, "decisions": self.tolerances.decisions} for graph in graphs],
                "golden": {"cases": [{"role": role, "batch": batch} for role, batch in self.cases]},
            },
            "golden": {name: as_json(array) for name, array in self.golden.items()},
            "got": {key: {name: as_json(array) for name, array in arrays.items()} for key, arrays in self.got.items()},
        }


#: Runs the self-test of scenarios, whose graphs answer what was recorded; but for the decoder, as in Python above.
_SELF_TESTS = """
    import { readFileSync } from "node:fs";
    import { selfTest } from "./self-test.js";
    const bytes = (text) => new Uint8Array(Buffer.from(text, "base64")).buffer;
    const tensor = ({ dtype, shape, data }) =>
      ({ dtype, shape, data: dtype === "float32" ? new Float32Array(bytes(data)) : new BigInt64Array(bytes(data)) });
    const tensors = (values) => Object.entries(values).map(([name, value]) => [name, tensor(value)]);
    const results = [];
    for (const { contract, golden, got } of JSON.parse(readFileSync(0))) {
      const calls = contract.golden.cases.map(({ role, batch }) => `${role}/${batch}`);
      const run = async (role, inputs) => {
        if (role === "decoder" && !calls[0]?.startsWith("decoder")) {
          const { shape: [batch, ...rest], data } = inputs.latent;
          const size = rest.reduce((product, length) => product * length, 1);
          return { image: { dtype: "float32", shape: [batch, 1, 1, size], data: data.slice() } };
        }
        return Object.fromEntries(tensors(got[calls.shift()]));
      };
      const { passed, checks } = await selfTest(contract, new Map(tensors(golden)), run);
      results.push({ passed, checks });
      if (calls.length > 0) throw new Error(`not run: ${calls}`);
    }
    console.log(JSON.stringify(results));
"""


def test_the_rule_of_the_self_test_is_that_of_verify(modules: Path) -> None:
    random = np.random.default_rng(4)
    scenarios = [Scenario(random) for _ in range(400)]
    results = evaluate(modules, _SELF_TESTS, [scenario.as_json() for scenario in scenarios])
    verdicts = {True: 0, False: 0}
    decided = 0
    for scenario, result in zip(scenarios, results, strict=True):
        for (role, batch), expected in scenario.expected.items():
            checks = [check for check in result["checks"] if (check["role"], check["batch"]) == (role, batch)]
            assert all(check["passed"] for check in checks) == expected, (scenario.kind, scenario.format, checks)
            assert all((check["reason"] is None) == check["passed"] for check in checks)
            decided += sum(check["otherwise"] or 0 for check in checks if expected)
            verdicts[expected] += 1
        assert result["passed"] == all(scenario.expected.values())
    # Enough of either, and of choices that rightly fell otherwise.
    assert min(*verdicts.values(), decided) > 100, (verdicts, decided)


@pytest.mark.parametrize("slack", [0.999, 1.001])
def test_norm_and_psnr_are_of_all_batches_together(slack: float, modules: Path) -> None:
    random = np.random.default_rng(5)
    golden: Arrays = {}
    got: dict[str, Arrays] = {}
    squares = {"latent": [0.0, 0.0, 0], "image": [0.0, 0.0, 0]}
    for role, given, name in (("encoder", "image", "latent"), ("decoder", "latent", "image")):
        for batch in (1, 3):
            want = random.random((batch, 2, 3, 5)).astype(np.float32)
            mine = (want + random.normal(0, 0.01 * batch, want.shape)).astype(np.float32)
            golden |= {f"{role}/{batch}/{given}": np.ones((batch, 2), np.float32), f"{role}/{batch}/{name}": want}
            got[f"{role}/{batch}"] = {name: mine}
            error = mine.astype(np.float64) - want
            for at, value in enumerate([np.sum(error**2), np.sum(want.astype(np.float64) ** 2), want.size]):
                squares[name][at] += value
    norm = np.sqrt(squares["latent"][0] / squares["latent"][1]) * slack
    psnr = 10 * np.log10(squares["image"][2] / squares["image"][0]) / slack
    free = {"absolute": None, "relative": 0.0, "norm": None, "psnr": None}
    graphs = [
        {"role": "encoder", "inputs": [{"name": "image"}], "outputs": [{**free, "name": "latent", "norm": norm}]},
        {"role": "decoder", "inputs": [{"name": "latent"}], "outputs": [{**free, "name": "image", "psnr": psnr}]},
    ]
    case = {
        "contract": {
            "latent": {"masked": False},
            "graphs": [{**graph, "decisions": 0.0} for graph in graphs],
            "golden": {
                "cases": [{"role": role, "batch": batch} for role in ("encoder", "decoder") for batch in (1, 3)]
            },
        },
        "golden": {name: as_json(array) for name, array in golden.items()},
        "got": {key: {name: as_json(array) for name, array in arrays.items()} for key, arrays in got.items()},
    }
    (result,) = evaluate(modules, _SELF_TESTS, [case])
    *of_cases, of_latents, of_images = result["checks"]
    assert all(check["passed"] and check["batch"] is not None for check in of_cases)
    assert [check["measure"] for check in (of_latents, of_images)] == ["norm", "psnr"]
    assert [check["passed"] for check in (of_latents, of_images)] == [slack > 1] * 2
    assert of_latents["error"] == pytest.approx(norm / slack)
    assert of_images["error"] == pytest.approx(psnr * slack)
