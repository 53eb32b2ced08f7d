"""Which packages took part: the closure of what is installed, by names and versions."""

from __future__ import annotations

import platform
from importlib.metadata import distribution, version
from pathlib import Path

import pytest

from aedeploy.bundle.software import direct_packages, installed_software


def test_the_base_is_what_runs_a_bundle() -> None:
    found = installed_software()
    assert found["python"] == platform.python_version()
    assert found["onnxruntime"] == version("onnxruntime")
    assert "torch" not in found
    assert "mypy" not in found
    # What pydantic needs, which aedeploy does not name.
    assert found["pydantic-core"] == version("pydantic-core")


def test_an_extra_brings_its_own() -> None:
    pytest.importorskip("torch")
    found = installed_software(["train"])
    assert found["torch"] == version("torch")
    assert found["sympy"] == version("sympy")
    assert set(installed_software()) < set(found)
    assert "pytest" not in found


def test_names_are_compared_as_the_packaging_standard_does() -> None:
    assert installed_software(more=["PyArrow", "pydantic_core", "Typing_Extensions"]) == installed_software()


def test_what_is_not_installed_is_left_out() -> None:
    assert installed_software(["no-such-extra"], ["no-such-package", ""]) == installed_software()


def test_an_extra_of_a_requirement_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def install(name: str, *requires: str) -> None:
        folder = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {r}" for r in requires)]
        (folder / "METADATA").write_text("\n".join(lines) + "\n")

    install("engine-x", "wheel_of-x[fast, small] (>=1.0) ; python_version >= '3'")
    install("wheel-of-x", "fast-part; extra == 'fast'", 'slow-part; extra == "slow"', "always-there")
    for name in ("fast-part", "slow-part"):
        install(name)
    install("always-there", "engine_x")  # and round again
    monkeypatch.syspath_prepend(tmp_path)
    found = set(installed_software(more=["engine-x"])) - set(installed_software())
    assert found == {"engine-x", "wheel-of-x", "fast-part", "always-there"}


def test_nothing_but_names_and_versions() -> None:
    for name, number in installed_software(["train", "dev"]).items():
        assert not {"/", "\\", "@"} & set(name + number)


def test_direct_packages_are_those_that_aedeploy_names() -> None:
    found = direct_packages()
    assert found["numpy"] == version("numpy")
    assert not {"mypy", "pytest", "pydantic-core"} & set(found)
    named = " ".join(distribution("aedeploy").requires or ()).lower()
    assert all(name in named for name in found)
