"""``aedeploy conform``: what a program answers is judged as our own engines are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle
from aedeploy.embed import write_program
from aedeploy.errors import BundleError, ConfigError
from aedeploy.parity.conform import conform


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "tiny")


@pytest.fixture(scope="module")
def program(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = write_program("python", bundle, tmp_path_factory.mktemp("program") / "program").folder
    return [sys.executable, str(folder / "main.py"), "conform"]


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "aedeploy", *map(str, arguments)], capture_output=True, text=True)


def test_a_right_program_conforms(bundle: Bundle, program: list[str]) -> None:
    found = command("conform", bundle.path, "--json", "--", *program)
    assert found.returncode == 0, found.stderr
    value = json.loads(found.stdout)
    assert value["passed"] is True
    assert value["command"] == program
    assert {(r["subject"], r["batch"]) for r in value["results"]} == {
        (f"onnx {role}", batch) for role in ("encoder", "decoder", "autoencoder") for batch in (1, 3)
    }
    assert all(result["max_abs"] is not None for result in value["results"])


def test_another_model_does_not(program: list[str], tmp_path: Path) -> None:
    other = write_tiny_bundle(tmp_path / "other", scale=1.001)
    found = command("conform", other.path, "--", *program)
    assert found.returncode == 5
    assert "does not conform" in found.stderr
    assert "FAILED" in found.stdout.upper()


def test_images_are_told_and_judged_where_that_is_asked(bundle: Bundle, program: list[str], tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    for at in range(3):
        pixels = random.integers(0, 256, (30 + at, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{at} of some.png")
    report = conform(bundle, program, images=sorted(tmp_path.glob("*.png")))
    assert report
    assert [image.passed for image in report.images] == [None] * 3
    assert all(image.max_abs is not None and image.max_abs < 1e-5 for image in report.images)
    found = command("conform", bundle.path, "--images", tmp_path, "--image-tolerance", "1e-5", "--", *program)
    assert found.returncode == 0, found.stderr
    assert "2 of some.png" in found.stdout


def test_an_image_that_is_off_fails_where_that_is_judged(program: list[str], tmp_path: Path) -> None:
    # Of twice the scale: its golden vectors are off too, and the files are named beside them.
    other = write_tiny_bundle(tmp_path / "other", scale=2.0)
    Image.fromarray(np.full((9, 9), 200, np.uint8)).save(tmp_path / "grey.png")
    report = conform(other, program, images=[tmp_path / "grey.png"], image_tolerance=1e-5)
    assert not report
    assert any("grey.png: its latent is off by" in failure for failure in report.failures())


def test_a_file_that_nobody_reads_is_no_failure_and_one_that_we_read_is(
    bundle: Bundle, program: list[str], tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (tmp_path / "well.png").write_bytes(b"")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "well.png")
    report = conform(bundle, program, images=[tmp_path / "broken.png", tmp_path / "well.png"])
    assert report
    assert report.images[0].reason is not None
    assert report.images[1].max_abs == pytest.approx(0.0, abs=1e-6)


def test_what_is_asked_wrongly(bundle: Bundle, program: list[str], tmp_path: Path) -> None:
    found = command("conform", bundle.path)
    assert (found.returncode, "name it after --" in found.stderr) == (2, True)
    found = command("conform", bundle.path, "--images", tmp_path, "--", *program)
    assert found.returncode == 4
    with pytest.raises(ConfigError):
        conform(bundle, [])
    with pytest.raises(BundleError, match="no ort graph"):
        conform(bundle, program, format="ort")


def test_a_program_that_cannot_be_started(bundle: Bundle, tmp_path: Path) -> None:
    found = command("conform", bundle.path, "--", tmp_path / "absent", "--flag")
    assert found.returncode == 1
    assert "cannot be started" in found.stderr
    assert "Traceback" not in found.stderr
