"""``aedeploy evaluate``: tables for a person, one object for a program."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_bundle import write_tiny_bundle
from tiny_denoiser import write_tiny_denoiser
from typer.testing import CliRunner, Result

from aedeploy.bundle import Bundle
from aedeploy.cli.app import app

Run = Callable[..., Result]

KEYS = [
    "bundle",
    "backend",
    "device",
    "seed",
    "data",
    "reconstruction",
    "latent",
    "gaussian",
    "codebook",
    "sparsity",
    "denoising",
    "baselines",
    "failures",
    "notes",
    "seconds",
    "better_than_pca",
    "verdict",
]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a folder with thirty images in ``in`` and a bundle in ``artifacts``."""
    monkeypatch.chdir(tmp_path)
    write_tiny_bundle(Path("artifacts/tiny"), denoising=True, gaussian=True)
    Path("in/sub").mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(30):
        pixels = random.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(Path("in", "sub" if number % 2 else "", f"{number}.png"))

    def run(*words: Any) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], env={"NO_COLOR": "1", "COLUMNS": "200"})

    return run


def test_a_person_reads_tables_by_family_and_a_verdict(run: Run) -> None:
    result = run("evaluate", "--data", "in")
    assert result.exit_code == 0
    for words in (
        "tiny, 30 images of in",
        "PCA-16",
        "mean image",
        "PSNR, dB",
        "16 (16)",
        "KL, nats an image",
        "active units (variance of the mean > 0.01)",
        "noise removed",
        "0.25",
    ):
        assert words in result.stdout
    assert result.stdout.splitlines()[-1].startswith("Not better than PCA-16: MSE ")
    assert "BCE, nats" not in result.stdout
    assert result.stderr.startswith("Measuring artifacts/tiny by onnxruntime on in: 30 images (all images)…\nNote: BCE")
    assert run("evaluate", "--data", "in", "--quiet").stderr == ""


def test_json_is_one_object_whose_keys_stay(run: Run) -> None:
    result = run("evaluate", "tiny", "--data", "in", "--json", "--sigma", "0.2", "--sigma", "0.3", "--seed", 3)
    read = json.loads(result.stdout)
    assert list(read) == KEYS
    assert (read["bundle"], read["backend"], read["device"], read["seed"]) == ("tiny", "onnxruntime", "cpu", 3)
    assert read["data"] == {"name": "in", "part": "all images", "images": 30, "image_shape": [1, 8, 8]}
    assert list(read["reconstruction"]) == [
        *("mse", "mae", "psnr", "psnr_images", "ssim", "bce", "bce_nats", "bce_clamped"),
    ]
    assert [figures["sigma"] for figures in read["denoising"]] == [0.2, 0.3]
    assert len(read["gaussian"]["kl_by_unit"]) == 16
    assert read["better_than_pca"] is False
    assert read["verdict"].startswith("not better than PCA-16: MSE ")


@pytest.mark.parametrize("words", [["tiny"], ["--bundle", "tiny"], ["-b", "artifacts/tiny"]])
def test_a_bundle_is_named_either_way(run: Run, words: list[str]) -> None:
    write_tiny_bundle(Path("artifacts/zzz"), mode="RGB")
    result = run("evaluate", *words, "--data", "in", "--json", "--no-pca", "--limit", 2)
    read = json.loads(result.stdout)
    assert (read["bundle"], read["data"]["images"], read["baselines"]["pca"]) == ("tiny", 2, None)
    both = run("evaluate", "tiny", "--bundle", "zzz", "--data", "in")
    assert (both.exit_code, "give one of them" in both.stderr) == (2, True)


def test_files_that_cannot_be_read_are_listed_and_are_exit_code_3(run: Run) -> None:
    for number in range(12):
        Path("in", f"broken{number:02}.png").write_text("no image")
    result = run("evaluate", "--data", "in")
    assert result.exit_code == 3
    assert "12 of 42 files could not be read:" in result.stdout
    assert "  failed   broken09.png: it is not an image" in result.stdout
    assert "… and 2 more: --json lists all of them" in result.stdout
    listed = run("evaluate", "--data", "in", "--json")
    assert listed.exit_code == 3
    assert [failure["path"] for failure in json.loads(listed.stdout)["failures"]] == [
        f"broken{number:02}.png" for number in range(12)
    ]


def test_a_bundle_without_graphs_says_what_makes_them(run: Run) -> None:
    bundle = write_tiny_bundle(Path("artifacts/bare"))
    bundle.save(bundle.manifest.model_copy(update={"graphs": ()}))
    result = run("evaluate", "bare", "--data", "in")
    assert result.exit_code == 1
    assert "aedeploy export artifacts/bare --format onnx  (or measure its weights:  --backend eager)" in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--data", "mnits"], 2, "did you mean 'mnist'"),
        (["--data", "nowhere/"], 2, "there is no such file or folder"),
        (["--data", "none"], 4, "no image in none"),
        ([], 2, "trained on a path, 'patterns'"),
        (["--data", "mnist", "--data-root", "none"], 2, "evaluate downloads nothing: point --data-root"),
        (["--data", "in", "--sigma", "-1"], 2, "no standard deviation"),
        (["--data", "in", "--backend", "onnx"], 2, "did you mean 'onnxruntime'"),
        (["--data", "in", "--device", "tpu"], 2, "runs on cpu"),
        (["--data", "in", "--limit", "0"], 2, "limit"),
        (["--data", "in", "--sigma", "0.1,much"], 2, "--sigma 'much' is no number"),
        (["--data", "in", "--told", "auto"], 2, "--told goes with --denoising DIR"),
        (["--data", "in", "--out", "there"], 2, "--out goes with --denoising DIR"),
        (["--data", "in", "--baselines", "none"], 2, "--baselines goes with --denoising DIR"),
        (["--data", "in", "--denoising", "in"], 2, "--data does not go with --denoising DIR"),
        (["--denoising", "in"], 2, "takes images of 8×8 pixels and no others"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_measured_is_one_sentence(run: Run, words: list[str], code: int, message: str) -> None:
    Path("none").mkdir()
    result = run("evaluate", *words)
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_without_torch_eager_says_what_installs_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aedeploy.runtime.backends.eager.missing", lambda: "torch")
    result = run("evaluate", "--data", "in", "--backend", "eager")
    assert result.exit_code == 1
    assert "pip install 'aedeploy[train]'" in result.stderr


def test_a_graph_that_failed_its_check_runs_only_when_told_to(run: Run) -> None:
    bundle = write_tiny_bundle(Path("artifacts/failed"))
    graphs = [graph.model_copy(update={"parity": "failed"}) for graph in bundle.manifest.graphs]
    bundle.save(bundle.manifest.model_copy(update={"graphs": tuple(graphs)}))
    assert run("evaluate", "failed", "--data", "in").exit_code == 1
    assert run("evaluate", "failed", "--data", "in", "--allow-failed").exit_code == 0


def test_every_family_has_a_table(run: Run, exported_bundles: dict[str, Bundle]) -> None:
    result = run("evaluate", exported_bundles["vae"].path, "--data", "digits", "--limit", 100)
    assert result.exit_code == 0
    for words in ("BCE, nats a pixel", "BCE, nats an image", "floor", "ELBO, nats an image, one sample each", "PCA-20"):
        assert words in result.stdout


@pytest.fixture
def denoiser(run: Run) -> Run:
    """The newest bundle is a denoiser of any size; beside the thirty images, one in colours."""
    write_tiny_denoiser(Path("artifacts/zz-denoiser"))
    pixels = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("in/colour.png")
    return run


DENOISING_KEYS = [
    "bundle",
    "backend",
    "format",
    "device",
    "threads",
    "seed",
    "told",
    "data",
    "mode",
    "images",
    "megapixels",
    "methods",
    "auto",
    "failures",
    "notes",
    "seconds",
    "results",
    "verdicts",
    "rows",
    "files",
]


def test_a_person_reads_each_method_at_each_sigma(denoiser: Run) -> None:
    result = denoiser("evaluate", "zz-denoiser", "--denoising", "in", "--sigma", "15,25", "--baselines", "none")
    assert result.exit_code == 0
    for words in (
        "zz-denoiser, 31 images of in",
        "megapixels a second",
        "noisy",
        "σ as it is estimated",
        "within 10 %",
        "a clean image, σ estimated",
        "σ = 25: ",
        "Every image: artifacts/zz-denoiser-denoising/denoising.csv, denoising.json",
    ):
        assert words in result.stdout
    assert result.stderr == "Measuring artifacts/zz-denoiser by onnxruntime on noise added to the images of in…\n"
    rows = Path("artifacts/zz-denoiser-denoising/denoising.csv").read_text().splitlines()
    assert rows[0] == "image,sigma,method,psnr,ssim,seconds,megapixels"
    assert len(rows) == 1 + 31 * 2 * 2


def test_json_of_denoising_is_one_object_whose_keys_stay(denoiser: Run) -> None:
    words = [
        "--denoising",
        "in/colour.png",
        "--sigma",
        "15",
        "--sigma",
        "25,50",
        "--baselines",
        "none",
        "--out",
        "there",
    ]
    result = denoiser("evaluate", "zz-denoiser", *words, "--told", "auto", "--seed", 3, "--json")
    read = json.loads(result.stdout)
    assert list(read) == DENOISING_KEYS
    assert (read["bundle"], read["format"], read["mode"], read["told"]) == ("zz-denoiser", "onnx", "L", "auto")
    assert (read["seed"], read["images"], read["megapixels"]) == (3, 1, pytest.approx(0.0006))
    assert [(at["sigma"], at["method"]) for at in read["results"]] == [
        (sigma, method) for sigma in (15, 25, 50) for method in ("noisy", "zz-denoiser")
    ]
    assert list(read["results"][0]) == ["sigma", "method", "psnr", "ssim", "seconds", "megapixels_per_second"]
    assert read["files"] == ["there/denoising.csv", "there/denoising.json"]
    saved = json.loads(Path("there/denoising.json").read_text())
    assert saved == {key: value for key, value in read.items() if key != "files"}


def test_files_that_cannot_be_read_are_listed_of_denoising_too(denoiser: Run) -> None:
    Path("in/broken.png").write_text("no image")
    result = denoiser("evaluate", "zz-denoiser", "--denoising", "in", "--sigma", "25", "--baselines", "none")
    assert result.exit_code == 3
    assert "1 of 32 files could not be read:\n  failed   broken.png: it is not an image" in result.stdout


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--sigma", "0.1"], 2, "in levels of 255"),
        (["--sigma", "60"], 2, "from 0 to 55"),
        (["--sigma", "15;25"], 2, "'15;25' is no number"),
        (["--told", "25"], 2, "Known: auto, sigma"),
        (["--baselines", "bm4d"], 2, "did you mean 'bm3d'"),
        (["--no-pca"], 2, "--no-pca does not go with --denoising DIR"),
        (["--denoising", "nowhere"], 2, "There is no file or folder nowhere"),
        (["--denoising", "none"], 4, "no image in none"),
        (["--model-format", "onnx-int8"], 1, "onnx-int8"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_denoised_is_one_sentence(denoiser: Run, words: list[str], code: int, message: str) -> None:
    Path("none").mkdir()
    result = denoiser("evaluate", "zz-denoiser", "--denoising", "in", *words)
    assert (result.exit_code, "Traceback" in result.stderr) == (code, False)
    assert message in result.stderr


def test_a_bundle_that_does_not_denoise_is_refused(denoiser: Run) -> None:
    write_tiny_bundle(Path("artifacts/plain"))
    result = denoiser("evaluate", "plain", "--denoising", "in")
    assert result.exit_code == 2
    assert "was not trained to remove noise" in result.stderr


def test_a_baseline_whose_package_is_missing_is_a_note_or_an_error(
    denoiser: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aedeploy.evaluation.denoising.classical.find_spec", lambda name: None)
    words = ["evaluate", "zz-denoiser", "--denoising", "in/colour.png", "--sigma", "25"]
    result = denoiser(*words)
    assert result.exit_code == 0
    assert "Note: BM3D needs the package 'bm3d', which is not installed: run" in result.stderr
    asked = denoiser(*words, "--baselines", "bm3d")
    assert (asked.exit_code, asked.stdout) == (1, "")
    assert "pip install 'aedeploy[denoise-baselines]'" in asked.stderr
