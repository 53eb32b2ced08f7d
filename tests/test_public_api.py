"""What ``import aedeploy`` gives, exactly, and what it costs."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import aedeploy
from aedeploy import errors

PUBLIC = [
    "AedeployError",
    "BackendError",
    "Bundle",
    "BundleError",
    "BusyError",
    "Codec",
    "ConfigError",
    "ExportError",
    "ImageError",
    "IntegrityError",
    "JobError",
    "LintError",
    "ManifestError",
    "MissingDependencyError",
    "NothingToDoError",
    "ParityError",
    "PictureError",
    "TrainingError",
    "UnknownNameError",
    "__version__",
    "load",
    "open_bundle",
]


def test_the_surface_is_exactly_this() -> None:
    assert aedeploy.__all__ == PUBLIC
    assert dir(aedeploy) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_is_there(name: str) -> None:
    assert getattr(aedeploy, name) is not None


def test_every_error_is_public() -> None:
    kinds = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert kinds <= set(PUBLIC)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'aedeploy' has no attribute 'laod'"):
        aedeploy.laod  # type: ignore[attr-defined]  # noqa: B018


def test_the_version_is_the_installed_one() -> None:
    assert aedeploy.__version__ == version("aedeploy")


@pytest.mark.parametrize(
    ("program", "absent"),
    [
        ("import aedeploy", {"torch", "onnxruntime", "numpy", "pydantic", "pyarrow", "PIL", "typer", "rich"}),
        ("import aedeploy; aedeploy.load; aedeploy.open_bundle", {"torch", "torchvision", "onnx", "typer"}),
    ],
)
def test_importing_it_imports_nothing_heavy(program: str, absent: set[str]) -> None:
    program += "; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert absent & set(done.stdout.split()) == set()
