"""C++ programs for tests: written, built as their READMEs say, and run."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from aedeploy.bundle import Bundle
from aedeploy.embed import write_program

#: The package that has a target's runtime.
RUNTIMES = {"cpp-onnx": "openvino", "cpp-libtorch": "torch"}

# Warnings are errors for us; a newer compiler of somebody's may know more of them.
_FLAGS = "-Werror"

# header: the Debian package that has it
_HEADERS = {
    "stb/stb_image.h": "libstb-dev",
    "lcms2.h": "liblcms2-dev",
    "nlohmann/json.hpp": "nlohmann-json3-dev",
    "openssl/evp.h": "libssl-dev",
}


def require_cpp(target: str = "cpp-onnx") -> None:
    """Skip where a compiler, a library or the runtime of a target is not here."""
    for tool in ("cmake", "g++"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed (make embed-tools)")
    for header, package in _HEADERS.items():
        if not any((Path(folder) / header).is_file() for folder in ("/usr/include", "/usr/local/include")):
            pytest.skip(f"{package} is not installed (make embed-tools)")
    if importlib.util.find_spec(RUNTIMES[target]) is None:
        pytest.skip(f"the Python package {RUNTIMES[target]}, which has the C++ one, is not installed")


def write_cpp_program(target: str, bundle: Bundle, folder: Path, format: str | None = None) -> Path:
    require_cpp(target)
    return write_program(target, bundle, folder, format=format).folder


def built(source: Path, tmp_path_factory: pytest.TempPathFactory, *definitions: str, flags: str = _FLAGS) -> Path:
    """The build folder of a CMake project. What was compiled once in this session is not compiled again."""
    build = source / "build" if not definitions else tmp_path_factory.mktemp("build")
    command = ["cmake", "-S", source, "-B", build, f"-DCMAKE_CXX_FLAGS={flags}", *definitions]
    environment = dict(os.environ)
    for package in RUNTIMES.values():  # found as CMake would, by the Python of these tests
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            place = spec.submodule_search_locations[0]
            command.append(f"-DOpenVINO_DIR={place}/cmake" if package == "openvino" else f"-DLIBTORCH={place}")
    if shutil.which("ccache"):
        base = tmp_path_factory.getbasetemp()
        cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "ccache"
        environment |= {"CCACHE_DIR": str(cache), "CCACHE_BASEDIR": str(source), "CCACHE_NOHASHDIR": "1"}
        command.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
    _run([*command, "--no-warn-unused-cli"], environment)
    _run(["cmake", "--build", build, "--parallel", "2"], environment)
    return build


def _run(command: Sequence[str | Path], environment: dict[str, str]) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-4000:]


def run(folder: Path, *arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command of a built program."""
    command = [folder / "build" / "autoencoder", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload,no-any-return]
