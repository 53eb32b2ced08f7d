"""C++ programs for tests: written, built as their READMEs say, and run."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from aedeploy.bundle import Bundle
from aedeploy.embed import write_program

TARGETS = ("cpp-onnx", "cpp-libtorch")

#: The package that has a target's runtime.
RUNTIMES = {"cpp-onnx": "openvino", "cpp-libtorch": "torch"}

# Of ``make embed-tools``: what lies there stays from one run of the tests to the next.
_TOOLS = Path(__file__).resolve().parents[2] / ".tools"

# Warnings are errors for us; a newer compiler of somebody's may know more of them.
_FLAGS = "-Werror"

# In damaged JPEGs stb_image 2.27 shifts by more bits than there are, which does no harm.
_SANITIZERS = f"{_FLAGS} -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-sanitize=shift-exponent"

#: What a program with sanitizers runs in. oneTBB would otherwise load a library in a way that they cannot follow. No
#: input of the tests is larger than a MiB.
SANITIZED = {**os.environ, "TBB_ENABLE_SANITIZERS": "1", "ASAN_OPTIONS": "max_allocation_size_mb=512"}

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


class Programs:
    """Programs by target and bundle, each written and built when it is first asked for. Copy one before changing it."""

    def __init__(self, bundles: Mapping[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> None:
        self._bundles, self._tmp_path_factory = bundles, tmp_path_factory
        self._folders: dict[tuple[str, str], Path] = {}

    def __call__(self, target: str, name: str) -> Path:
        if (target, name) not in self._folders:
            folder = self._tmp_path_factory.mktemp(target) / name
            write_cpp_program(target, self._bundles[name], folder)
            built(folder, self._tmp_path_factory)
            self._folders[target, name] = folder
        return self._folders[target, name]


def write_cpp_program(target: str, bundle: Bundle, folder: Path, format: str | None = None) -> Path:
    require_cpp(target)
    return write_program(target, bundle, folder, format=format).folder


def built(
    source: Path,
    tmp_path_factory: pytest.TempPathFactory,
    *definitions: str,
    flags: str = _FLAGS,
    build: Path | None = None,
) -> Path:
    """The build folder of a CMake project. What was compiled once is not compiled again, where there is ccache."""
    build = build or source / "build"
    command = ["cmake", "-S", source, "-B", build, f"-DCMAKE_CXX_FLAGS={flags}", *definitions]
    environment = dict(os.environ)
    for package in RUNTIMES.values():  # found as CMake would, by the Python of these tests
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            place = spec.submodule_search_locations[0]
            command.append(f"-DOpenVINO_DIR={place}/cmake" if package == "openvino" else f"-DLIBTORCH={place}")
    if shutil.which("ccache"):
        base = tmp_path_factory.getbasetemp()
        session = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
        cache = (_TOOLS if _TOOLS.is_dir() else session) / "ccache"
        environment |= {"CCACHE_DIR": str(cache), "CCACHE_MAXSIZE": "500M"}
        environment |= {"CCACHE_BASEDIR": str(build.parent), "CCACHE_NOHASHDIR": "1"}
        command.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
    _run([*command, "--no-warn-unused-cli"], environment)
    _run(["cmake", "--build", build, "--parallel", "2"], environment)
    return build


def built_with_sanitizers(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody's program that takes the library, ``app``, and the command line one, ``autoencoder/autoencoder``."""
    app = Path(__file__).with_name("cpp_app")
    definitions = (f"-DPROGRAM={program}", "-DAUTOENCODER_CLI=ON")
    return built(app, tmp_path_factory, *definitions, flags=_SANITIZERS, build=program / "build")


def _run(command: Sequence[str | Path], environment: dict[str, str]) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-4000:]


def run(folder: Path, *arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command of a built program."""
    command = [folder / "build" / "autoencoder", *arguments]
    # Tensors are no text.
    texts: dict[str, Any] = {"text": True, "errors": "replace", **options}
    return subprocess.run(command, capture_output=True, timeout=120, **texts)
