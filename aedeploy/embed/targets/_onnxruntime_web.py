"""onnxruntime-web's files for a page: from a folder, or fetched once by npm."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from aedeploy.data.named import data_root
from aedeploy.errors import AedeployError, ConfigError, IntegrityError
from aedeploy.files import replacing

VERSION = "1.30.0"
_INTEGRITY = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="

_FOLDER = "vendor/onnxruntime-web"

# What the page loads of it, and under which name: not every server knows that .mjs is JavaScript.
_FILES = {
    "ort.wasm.bundle.min.mjs": "ort.wasm.bundle.min.js",
    "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.bundle.min.mjs": "ort.webgpu.bundle.min.js",
    "ort-wasm-simd-threaded.asyncify.wasm": "ort-wasm-simd-threaded.asyncify.wasm",
}


def runtime_files(folder: Path | None, say: Callable[[str], None]) -> dict[str, bytes]:
    """The files of onnxruntime-web that the page loads, by their path in it: WebAssembly's build and WebGPU's.

    Args:
        folder: its ``dist``; None: the version that this was tested with, from the user's cache, or fetched into it.
        say: told before something is fetched.

    Raises:
        ConfigError: ``folder`` has not all of them.
        AedeployError: npm is not there, or could not fetch the package.
        IntegrityError: what it fetched is not that version.
    """
    found = _from_folder(folder) if folder is not None else _from_package(_package(say))
    return {f"{_FOLDER}/{_FILES[name]}": _without_source_map(content) for name, content in found.items()}


def _from_folder(folder: Path) -> dict[str, bytes]:
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise ConfigError(
            f"{folder} has no {missing[0]}: name the folder dist of onnxruntime-web, such as "
            f"node_modules/onnxruntime-web/dist after  npm install --ignore-scripts onnxruntime-web@{VERSION}"
        )
    return {name: (folder / name).read_bytes() for name in _FILES}


def _from_package(package: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(package, "r:gz") as archive:
        for member in archive:
            folder, _, name = member.name.rpartition("/")
            if folder == "package/dist" and name in _FILES and (file := archive.extractfile(member)) is not None:
                found[name] = file.read()
    if missing := _FILES.keys() - found.keys():
        raise IntegrityError(f"onnxruntime-web {VERSION} has no {min(missing)}: remove {package}, and try again.")
    return found


def _package(say: Callable[[str], None]) -> Path:
    """The package as npm packs it, in the user's cache."""
    package = data_root(None).parent / f"onnxruntime-web-{VERSION}.tgz"
    if package.is_file() and _is_intact(package):
        return package
    npm = shutil.which("npm")
    if npm is None:
        raise AedeployError(
            "onnxruntime-web, which runs the graphs in the page, is fetched by npm, which is not installed: install "
            "npm, or name a folder with its files by --runtime."
        )
    say(f"Fetching onnxruntime-web {VERSION} by npm, once, into {package.parent}.")
    package.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        fetched = _fetch(npm, Path(scratch))
        if not _is_intact(fetched):
            raise IntegrityError(
                f"What npm fetched as onnxruntime-web {VERSION} is another file than was tested (its SHA-512 differs): "
                "look into the registry that npm uses, or name a folder with its files by --runtime."
            )
        with replacing(package) as partial:
            shutil.copyfile(fetched, partial)
    return package


def _fetch(npm: str, folder: Path) -> Path:
    command = [npm, "pack", f"onnxruntime-web@{VERSION}", "--ignore-scripts", "--pack-destination", str(folder)]
    packed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    found = next(folder.glob("*.tgz"), None)
    if packed.returncode != 0 or found is None:
        lines = [line for line in packed.stderr.splitlines() if line.strip()] or ["it says no more"]
        raise AedeployError(
            f"npm could not fetch onnxruntime-web {VERSION} ({lines[0].strip()[:200]}): try again with a network, or "
            "name a folder with its files by --runtime."
        )
    return found


def _is_intact(package: Path) -> bool:
    with open(package, "rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    return base64.b64encode(digest).decode() == _INTEGRITY


def _without_source_map(content: bytes) -> bytes:
    """A script that does not name a source map, which is left out: developer tools would ask for it."""
    start, mark, _ = content.rpartition(b"\n//# sourceMappingURL=")
    return start + b"\n" if mark and len(content) - len(start) < 200 else content
