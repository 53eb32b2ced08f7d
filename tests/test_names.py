"""A folder is a registry."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from aedeploy.errors import UnknownNameError
from aedeploy.names import load_named, names_in


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with one module that works, one that cannot be imported, and files that are no names."""
    folder = tmp_path / "a_registry_of_tests"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "batch_topk.py").write_text("VALUE = 7\n")
    (folder / "broken.py").write_text("raise RuntimeError('imported')\n")
    (folder / "_private.py").write_text("")
    (folder / "notes.txt").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder.name
    for module in [name for name in sys.modules if name.partition(".")[0] == folder.name]:
        del sys.modules[module]


def test_listing_imports_none_of_the_modules(registry: str) -> None:
    assert names_in(registry) == ["batch-topk", "broken"]
    assert f"{registry}.batch_topk" not in sys.modules


def test_a_module_is_loaded_by_the_name_that_users_write(registry: str) -> None:
    assert load_named(registry, "batch-topk", "bottleneck").VALUE == 7


@pytest.mark.parametrize("name", ["batch-topq", "_private", "__init__", "notes", "", "../broken", "os"])
def test_what_is_no_file_of_the_folder_is_unknown(registry: str, name: str) -> None:
    with pytest.raises(UnknownNameError, match="There is no bottleneck"):
        load_named(registry, name, "bottleneck")


def test_the_nearest_name_is_offered(registry: str) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'batch-topk'"):
        load_named(registry, "batch-topq", "bottleneck")


@pytest.mark.parametrize(
    ("package", "some"),
    [
        ("aedeploy.models.backbones", {"conv", "mlp"}),
        ("aedeploy.models.bottlenecks", {"gaussian", "identity"}),
        ("aedeploy.runtime.backends", {"eager", "onnxruntime", "torchscript"}),
    ],
)
def test_the_axes_are_found(package: str, some: set[str]) -> None:
    assert some <= set(names_in(package))
