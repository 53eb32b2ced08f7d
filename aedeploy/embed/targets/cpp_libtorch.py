"""C++ and CMake with libtorch, for TorchScript."""

from __future__ import annotations

from aedeploy.embed.program import Program
from aedeploy.embed.targets._cpp import cpp_files

FORMATS: tuple[str, ...] = ("torchscript",)
NEEDS = "a C++20 compiler, CMake 3.18; libtorch (in PyTorch's package), stb, littlecms, nlohmann-json, OpenSSL"
NEXT: tuple[str, ...] = (
    "sudo apt install g++ cmake libstb-dev liblcms2-dev nlohmann-json3-dev libssl-dev",
    "pip install torch",
    "cmake -B build",
    "cmake --build build",
    "build/autoencoder self-test",
    "build/autoencoder encode IMAGE",
)


def files(program: Program) -> dict[str, bytes]:
    """The sources, the README of this bundle, and the contract as a header."""
    return cpp_files(program, "cpp_libtorch")
