"""C++17 and CMake with OpenVINO, or onnxruntime."""

from __future__ import annotations

from aedeploy.embed.program import Program
from aedeploy.embed.targets._cpp import cpp_files

FORMATS: tuple[str, ...] = ("onnx", "openvino", "onnx-fp16", "onnx-int8")
NEEDS = "a C++17 compiler, CMake 3.18; OpenVINO or onnxruntime, stb, littlecms, nlohmann-json, OpenSSL"
NEXT: tuple[str, ...] = (
    "sudo apt install g++ cmake libstb-dev liblcms2-dev nlohmann-json3-dev libssl-dev",
    "pip install openvino",
    "cmake -B build",
    "cmake --build build",
    "build/autoencoder self-test",
    "build/autoencoder encode IMAGE",
)


def files(program: Program) -> dict[str, bytes]:
    """The sources, the README of this bundle, and the contract as a header."""
    if program.format == "onnx" and _has_softplus(program):
        program.say(
            "This model has a Softplus, of which OpenVINO's own is not exact: should the self-test fail, build with "
            "-DBACKEND=onnxruntime, or export and embed --format openvino, which has it spelt out."
        )
    return cpp_files(program, "cpp_onnx")


def _has_softplus(program: Program) -> bool:
    # The name of an operator is in an ONNX file as it is.
    return any(b"Softplus" in program.bundle.file(graph.file).read_bytes() for graph in program.graphs)
