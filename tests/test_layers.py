"""The layer contract, and that its guards notice when it is broken.

Checked three ways: import-linter and ruff read the sources (here, and in ``make check``); what a command really
imports is looked at here, and in an environment without torch in test_base_install.py.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_bundle import write_tiny_bundle

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = Path(sys.executable).parent

#: What running a bundle must never import.
TORCH_HALF = ("torch", "torchvision", "onnx", "onnxscript", "matplotlib", "aedeploy.models", "aedeploy.training")


def lint_imports(checkout: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPTS / "lint-imports", "--no-cache"],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the package and its contracts, to be spoilt."""
    shutil.copytree(ROOT / "aedeploy", tmp_path / "aedeploy", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_are_kept(checkout: Path) -> None:
    done = lint_imports(checkout)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("bundle/manifest.py", "import torch", "never reaches torch"),
        ("jobs/__init__.py", "def later() -> None:\n    import torch.nn", "never reaches torch"),
        ("evaluation/run.py", "import torch", "never reaches torch"),
        ("bench/run.py", "import torch", "never reaches torch"),
        ("bench/run.py", "import aedeploy.parity.check", "Layers"),
        ("runtime/backends/onnxruntime.py", "import onnx", "never reaches torch"),
        ("images/__init__.py", "from aedeploy.models import build", "Layers"),
        ("errors.py", "import aedeploy.files", "Layers"),
        ("bundle/store.py", "from aedeploy.images import read", "Layers"),
        ("models/build.py", "import aedeploy.training", "Layers"),
        ("export/__init__.py", "import aedeploy.training", "Layers"),
        ("training/__init__.py", "from aedeploy import cli", "Layers"),
    ],
)
def test_a_forbidden_import_is_noticed(checkout: Path, module: str, line: str, broken: str) -> None:
    with open(checkout / "aedeploy" / module, "a", encoding="utf-8") as source:
        source.write(f"\n{line}\n")
    done = lint_imports(checkout)
    assert done.returncode == 1, done.stdout
    assert re.search(rf"^.*{broken}.* BROKEN\b", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.parametrize("package", ["torch", "torchvision", "onnx", "onnxscript", "matplotlib"])
@pytest.mark.parametrize(("module", "allowed"), [("jobs/x.py", False), ("cli/x.py", False), ("models/x.py", True)])
def test_ruff_refuses_the_torch_half_at_module_level_elsewhere(package: str, module: str, allowed: bool) -> None:
    done = subprocess.run(
        [SCRIPTS / "ruff", "check", "--select", "TID253", "--stdin-filename", f"aedeploy/{module}", "-"],
        cwd=ROOT,
        input=f"import {package}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) is allowed, done.stdout
    assert ("TID253" in done.stdout) is not allowed


def imported_by(arguments: list[str], folder: Path) -> set[str]:
    """The modules that a command of the full environment had imported when it ended, which must be well."""
    program = (
        "import sys\n"
        "from aedeploy.cli.app import main\n"
        "sys.argv = ['aedeploy', *sys.argv[1:]]\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "open('imported', 'w').write('\\n'.join(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return set((folder / "imported").read_text().split())


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle, an image, and its latents."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("workplace")
    write_tiny_bundle(folder / "artifacts" / "tiny", denoising=True)
    (folder / "images").mkdir()
    Image.new("L", (8, 8), 100).save(folder / "images" / "grey.png")
    imported_by(["encode", "images", "--out", "latents"], folder)
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["train", "--help"],
        ["sweep", "--help"],
        ["export", "--help"],
        ["inspect"],
        ["verify"],
        ["list", "variants"],
        ["list", "formats"],
        ["list", "backends"],
        ["list", "data"],
        ["evaluate", "--data", "images", "--limit", "1"],
        ["encode", "images", "--out", "encoded"],
        ["decode", "latents", "--out", "decoded"],
        ["reconstruct", "images", "--out", "reconstructed"],
        ["denoise", "images", "--out", "denoised"],
    ],
    ids=" ".join,
)
def test_a_command_that_needs_no_torch_imports_none(workplace: Path, arguments: list[str]) -> None:
    imported = imported_by(arguments, workplace)
    assert "aedeploy.cli.app" in imported
    assert (
        sorted(name for name in imported if name.startswith(TORCH_HALF) and name.partition(".")[0] != "onnxruntime")
        == []
    )


@pytest.mark.parametrize("arguments", [["--help"], ["encode", "--help"], ["--version"]], ids=" ".join)
def test_help_imports_no_engine_either(workplace: Path, arguments: list[str]) -> None:
    # Not pydantic: Typer itself reads options with it.
    heavy = {"numpy", "onnxruntime", "pyarrow", "PIL", "safetensors"}
    assert heavy & imported_by(arguments, workplace) == set()
