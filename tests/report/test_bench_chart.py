"""The chart of a benchmark: one sentence, a bar for each variant, and nothing that depends on the day."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aedeploy.bench import BenchReport, Row
from aedeploy.bench.contenders import BASELINE_NAME
from aedeploy.report.bench_chart import CHARTS, write_bench_charts

pytest.importorskip("matplotlib")


def row(variant: str, images_per_second: float | None, **more: object) -> Row:
    usual = {
        "format": variant,
        "pixels": "float32",
        "backend": "x",
        "device": "cpu",
        "precision": "float32",
        "status": "passed",
    }
    return Row(variant=variant, images_per_second=images_per_second, **(usual | more))  # type: ignore[arg-type]


def report(*rows: Row, **more: object) -> BenchReport:
    usual: dict[str, object] = {
        "bundle": "digits",
        "digest": "0" * 64,
        "role": "autoencoder",
        "image_shape": (1, 8, 8),
        "batch": 32,
        "rounds": 5,
        "threads": 2,
        "reference": "PyTorch",
        "machine": {"processor": "a processor"},
        "versions": {},
    }
    return BenchReport(rows=rows, **(usual | more))  # type: ignore[arg-type]


def bars(path: Path, colour: str) -> int:
    """How many pixels of a picture have a colour."""
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return int((np.asarray(Image.open(path).convert("RGB")) == wanted).all(axis=-1).sum())


PYTORCH = row(BASELINE_NAME, 1000.0, status="baseline", format=None)
ONNX = row("onnx", 3000.0)


def test_its_sentence_is_the_ratio_to_pytorch() -> None:
    assert report(PYTORCH, ONNX).headline == "onnx gives 3.0 × the images a second of PyTorch"
    assert report(ONNX).headline == "onnx is the fastest: 3,000 images a second"
    assert report(row("onnx", None)).headline.startswith("No variant")


def test_devices_are_compared_each_with_its_own() -> None:
    fast = row("onnx", 9000.0, device="cuda")
    assert report(PYTORCH, ONNX, fast).headline == "onnx on cuda is the fastest: 9,000 images a second"
    there = replace(PYTORCH, device="cuda", images_per_second=6000.0)
    assert (
        report(PYTORCH, ONNX, there, fast).headline == "onnx on cuda gives 1.5 × the images a second of PyTorch there"
    )


def test_a_wrong_graph_is_never_the_fastest() -> None:
    wrong = row("onnx-int8", 9000.0, status="failed parity")
    assert report(PYTORCH, ONNX, wrong).fastest == ONNX


@pytest.mark.parametrize("page", sorted(CHARTS))
def test_the_length_of_a_bar_is_its_figure(tmp_path: Path, page: str) -> None:
    from aedeploy.report.bench_chart import _COLOURS

    path = next(path for path in write_bench_charts(report(PYTORCH, ONNX), tmp_path) if path.name == CHARTS[page])
    colours = _COLOURS[page]
    assert bars(path, colours.best) == pytest.approx(3 * bars(path, colours.baseline), rel=0.05)


def test_the_same_figures_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        write_bench_charts(report(PYTORCH, ONNX), tmp_path / name)
    for name in CHARTS.values():
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


@pytest.mark.parametrize(
    "drawn",
    [
        report(PYTORCH, ONNX, bundle="$x^2$ [red] ünïcödé" * 9, machine={"processor": "P" * 200}),
        report(PYTORCH, replace(ONNX, device="cuda"), row("onnx-int8", 5.0, psnr_lost=1.25)),
        report(row("onnx", None, status="failed to run")),
        report(*(row(f"variant {at}", 10.0**at) for at in range(14))),
    ],
    ids=["hostile names", "two devices", "nothing measured", "many"],
)
def test_it_draws_whatever_there_is(tmp_path: Path, drawn: BenchReport) -> None:
    for path in write_bench_charts(drawn, tmp_path):
        with Image.open(path) as picture:
            assert picture.size[0] == 1200
    assert len(list(tmp_path.iterdir())) == len(CHARTS)
