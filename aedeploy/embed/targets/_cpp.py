"""What the C++ targets share: one program, in which the runtime is one file, and the contract as a header."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from aedeploy.embed.program import README, Program, filled, sources

#: Of a runtime's folder of sources: what its README says of building, put into the shared one.
_BUILD = "BUILD.md"
_BUILD_TOKEN = b"@BUILD@"

_CONTRACT = "autoencoder/contract.hpp"


def cpp_files(program: Program, folder: str) -> dict[str, bytes]:
    """The shared sources, those of ``folder`` with the runtime, the README of this bundle, and the contract."""
    found = sources("cpp", folder)
    found[README] = filled(found[README].replace(_BUILD_TOKEN, found.pop(_BUILD).strip()), program)
    found[_CONTRACT] = contract_header(program.contract).encode()
    return found


def contract_header(contract: Mapping[str, Any]) -> str:
    """The contract as constants of the types in contract_types.hpp."""
    header = _Header()
    bundle, image, golden = contract["bundle"], contract["image"], contract["golden"]
    graphs = header.array("GraphContract", "graphs", [_graph(header, graph) for graph in contract["graphs"]])
    cases = header.array(
        "GoldenCase", "golden_cases", [f"{{Role::{case['role']}, {case['batch']}}}" for case in golden["cases"]]
    )
    constants = _aggregate(
        [
            _aggregate([_text(bundle[key]) for key in ("name", "digest", "recipe", "summary", "source")], 1),
            _numbers(image[key] for key in ("channels", "height", "width", "dynamic_size", "multiple_of", "minimum")),
            _latent(header, contract["latent"]),
            _noise(contract["noise"]),
            _number(contract["denoises"]),
            _number(contract["noise_sigma"]),
            _text(contract["format"]),
            graphs,
            _aggregate([_file(golden), cases], 1),
        ]
    )
    return f"""\
// What this program must know of its model. Written by aedeploy embed; contract_types.hpp says what it means.

#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "autoencoder/contract_types.hpp"

namespace autoencoder {{

namespace constants {{

{"".join(header.lines)}
inline constexpr Contract contract{constants};

}}  // namespace constants

using constants::contract;

}}  // namespace autoencoder
"""


class _Header:
    """Arrays, which C++ has to have a name for, and what refers to them."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def array(self, type: str, name: str, values: Iterable[str]) -> str:
        """Add an array; returns what a member of type View is initialised with."""
        elements = list(values)
        if not elements:
            return "{}"
        self.lines.append(f"inline constexpr std::array<{type}, {len(elements)}> {name}{{{_aggregate(elements)}}};\n")
        return name

    def shape(self, name: str, shape: Iterable[int | str]) -> str:
        """Add a shape: dimensions with a name are those that a graph leaves open."""
        lengths = [str(length) if isinstance(length, int) else "any_length" for length in shape]
        self.lines.append(
            f"inline constexpr std::array<std::int64_t, {len(lengths)}> {name}{{{', '.join(lengths)}}};\n"
        )
        return name


def _graph(header: _Header, graph: Mapping[str, Any]) -> str:
    role = graph["role"]
    inputs = [_tensor(header, f"{role}_takes", spec) for spec in graph["inputs"]]
    outputs = [_output(header, f"{role}_gives", spec) for spec in graph["outputs"]]
    return _aggregate(
        [
            f"Role::{role}",
            _file(graph),
            "std::nullopt" if graph["data"] is None else f"FileContract{_file(graph['data'])}",
            header.array("TensorContract", f"{role}_inputs", inputs),
            header.array("OutputContract", f"{role}_outputs", outputs),
            _number(graph["decisions"]),
        ],
        1,
    )


def _output(header: _Header, prefix: str, spec: Mapping[str, Any]) -> str:
    tolerance = _numbers(spec[key] for key in ("absolute", "relative", "norm", "psnr"))
    return f"{{{_tensor(header, prefix, spec)}, {tolerance}}}"


def _tensor(header: _Header, prefix: str, spec: Mapping[str, Any]) -> str:
    shape = header.shape(f"{prefix}_{spec['name']}", spec["shape"])
    return f"{{{_text(spec['name'])}, DType::{spec['dtype']}, {shape}}}"


def _latent(header: _Header, latent: Mapping[str, Any] | None) -> str:
    if latent is None:
        return "std::nullopt"
    shape = header.shape("latent_shape", latent["shape"])
    words = f"{_text(latent['kind'])}, {_text(latent['distribution'])}"
    return f"LatentContract{{{shape}, {words}, {_number(latent['codebook_size'])}, {_number(latent['masked'])}}}"


def _noise(noise: Mapping[str, Any] | None) -> str:
    return "std::nullopt" if noise is None else f"NoiseContract{{{_number(noise['maximum'])}}}"


def _file(record: Mapping[str, Any]) -> str:
    return f"{{{_text(record['file'])}, {_text(record['sha256'])}, {record['bytes']}}}"


def _aggregate(members: Iterable[str], depth: int = 0) -> str:
    """Members in braces, one a line."""
    indent = "    " * depth
    return "{\n" + "".join(f"{indent}    {member},\n" for member in members) + f"{indent}}}"


def _numbers(values: Iterable[object]) -> str:
    return f"{{{', '.join(map(_number, values))}}}"


def _number(value: object) -> str:
    match value:
        case None:
            return "std::nullopt"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
    raise TypeError(f"no number of the contract: {value!r}")


def _text(text: str) -> str:
    """A literal of UTF-8. JSON's escapes are those of C++, once nothing is left that only JSON would escape."""
    literal = json.dumps("".join(letter if letter.isprintable() else " " for letter in text), ensure_ascii=False)
    return literal.replace("??", r"?\?")  # what follows would be taken for a trigraph
