"""``make`` sets up once, says what is missing, and does not take an interrupted installation for a finished one.

The interpreter is a stand-in that records what it is asked to do: the real installation is gigabytes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

STAND_IN = """#!/bin/sh
case "$*" in
    *version_info*) exit ${TOO_OLD:-0} ;;
    *ensurepip*) exit ${NO_VENV:-0} ;;
esac
echo "$@" >> asked
case "$*" in
    "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    *"pip install"*) exit ${PIP_FAILS:-0} ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout, in a folder with spaces in its name, and a stand-in for Python beside it."""
    folder = tmp_path / "a fresh clone"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    tools = folder / "tests" / "embed" / "install_tools.sh"
    tools.parent.mkdir(parents=True)
    tools.write_text("touch tools-asked-for\n")
    stand_in = tmp_path / "my python"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    return folder


def make(checkout: Path, target: str = "test", **environment: str) -> subprocess.CompletedProcess[str]:
    outer = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "PYTHON"}
    return subprocess.run(
        ["make", target, f"PYTHON={checkout.parent / 'my python'}"],
        cwd=checkout,
        env={**outer, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def asked(checkout: Path) -> list[str]:
    """What the stand-ins were asked to do, and forget it."""
    log = checkout / "asked"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


def test_the_first_run_installs_the_tested_versions_and_the_second_nothing(checkout: Path) -> None:
    assert make(checkout).returncode == 0
    first = asked(checkout)
    assert first[0] == "-m venv .venv"
    assert first[1].endswith("-c constraints.txt -e .[train,pictures,dev,openvino,ncnn,pnnx]")
    tests = "-m pytest -m not slow --numprocesses auto --dist loadfile"
    assert first[2:] == [tests]
    assert (checkout / "tools-asked-for").exists()
    assert make(checkout).returncode == 0
    assert asked(checkout) == [tests]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_other_requirements_are_installed_again(checkout: Path, name: str) -> None:
    make(checkout)
    asked(checkout)
    later = (checkout / ".venv" / ".installed").stat().st_mtime + 10
    os.utime(checkout / name, (later, later))
    make(checkout)
    assert any("pip install" in line for line in asked(checkout))


def test_an_installation_that_failed_is_begun_again_from_nothing(checkout: Path) -> None:
    assert make(checkout, PIP_FAILS="1").returncode != 0
    (checkout / ".venv" / "half-installed").touch()
    asked(checkout)
    done = make(checkout)
    assert done.returncode == 0
    assert "starting again" in done.stdout
    assert not (checkout / ".venv" / "half-installed").exists()
    assert any("pip install" in line for line in asked(checkout))


def test_a_python_that_is_too_old_is_said_so(checkout: Path) -> None:
    done = make(checkout, TOO_OLD="1")
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed" in done.stderr
    assert "my python is not" in done.stderr
    assert "PYTHON=" in done.stderr
    assert asked(checkout) == []


def test_a_python_without_its_venv_package_is_said_so(checkout: Path) -> None:
    done = make(checkout, NO_VENV="1")
    assert done.returncode != 0
    assert "python3-venv" in done.stderr
    assert asked(checkout) == []


def test_help_lists_every_target_and_installs_nothing(checkout: Path) -> None:
    done = make(checkout, "help")
    assert asked(checkout) == []
    for target in ("demo", "test", "check", "bench", "test-slow", "embed-tools", "embed-test", "docs", "clean"):
        assert f"make {target}" in done.stdout


def test_clean_keeps_bundles(checkout: Path) -> None:
    make(checkout)
    (checkout / "artifacts" / "mine").mkdir(parents=True)
    for name in ("aedeploy", "tests", "benchmarks", "docs", "examples"):
        (checkout / name / "__pycache__").mkdir(parents=True, exist_ok=True)
    assert make(checkout, "clean").returncode == 0
    assert not (checkout / ".venv").exists()
    assert not (checkout / "aedeploy" / "__pycache__").exists()
    assert (checkout / "artifacts" / "mine").is_dir()
