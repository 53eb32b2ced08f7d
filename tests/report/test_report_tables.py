"""The tables of a report, the verdict above them, and what a person wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report.report_pages import bench_row, failed_result, page_of, text_of
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle
from aedeploy.bundle.card import KEPT_FROM, KEPT_TO, write_card
from aedeploy.report import ReportOptions, write_report

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")


@pytest.fixture
def tiny(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "tiny", gaussian=True)


def test_a_failed_graph_is_loud(tiny: Bundle) -> None:
    graphs = list(tiny.manifest.graphs)
    graphs[1] = graphs[1].model_copy(update={"parity": "failed"})
    graphs[2] = graphs[2].model_copy(update={"parity": "unchecked"})
    changed = tiny.save(tiny.manifest.model_copy(update={"graphs": tuple(graphs)}))
    parity = {"bundle": "tiny", "passed": False, "overrides": {"image": 0.5}, "results": [failed_result()]}
    (tiny.path / "parity.json").write_text(json.dumps(parity))
    page = page_of(changed, pictures=("manifold", "samples"))
    said = text_of(page)
    assert "1 of 3 graphs FAILED parity" in said
    assert f"Failed: onnx {graphs[1].role}." in said
    assert "1 passed, 1 failed, 1 unchecked" in said
    assert '<div class="verdict failed">' in page
    assert '<tr class="failed"><td class="plain">onnx decoder</td><td class="failed">FAILED</td>' in page
    assert "onnx decoder: image on black images, batch 1: too far off" in said
    assert "3.2e-01" in said
    assert "≤ 1.0e-05" in said
    assert "Not in this report" in said
    assert "Of graphs that the bundle does not have (any more): openvino encoder" not in said
    assert "not the usual ones: image 0.5" in said
    assert "failed its parity check, so it is not run" in said


def test_a_parity_report_of_something_else_is_said_to_be(tiny: Bundle) -> None:
    results = [failed_result(), failed_result(role="encoder", format="openvino", passed=True, worst=[])]
    (tiny.path / "parity.json").write_text(json.dumps({"bundle": "another", "results": results}))
    said = text_of(page_of(tiny))
    assert "parity.json is of a bundle that is called 'another'" in said
    assert "does not have (any more): openvino encoder" in said
    assert "Not in this report, which is of the last run alone: onnx encoder, onnx autoencoder" in said
    assert "The manifest says of onnx decoder that parity passed" in said


@pytest.mark.parametrize("text", ["", "[1, 2", '{"results": 3}', '{"results": [{"worst": [7, {"output": {}}]}]}', "[]"])
def test_a_parity_report_that_is_none(text: str, tiny: Bundle) -> None:
    (tiny.path / "parity.json").write_text(text)
    assert "parity" in page_of(tiny)


def test_many_pairs_of_formats_are_folded(tiny: Bundle) -> None:
    pair = {"role": "encoder→decoder", "decoder": "torchscript", "passed": True}
    results = [failed_result(**pair) for _ in range(7)] + [failed_result()]
    (tiny.path / "parity.json").write_text(json.dumps({"bundle": "tiny", "results": results}))
    page = page_of(tiny)
    assert "<details><summary>7 pairs of formats, all of which passed</summary>" in page
    assert "onnx encoder→torchscript decoder" in text_of(page)


def test_the_benchmark_beside_it(tiny: Bundle) -> None:
    folder = tiny.path.with_name("tiny-bench")
    folder.mkdir()
    rows = [
        bench_row("onnx"),
        bench_row("onnx-int8", images_per_second=5000.0, status="failed parity"),
        bench_row("ncnn", images_per_second=None, status="engine missing", reason="/opt/deep/engine is not installed"),
    ]
    report = {
        "digest": tiny.manifest.digest,
        "headline": "onnx gives 2.0 × the images a second of PyTorch",
        "verdicts": ["onnx-int8 on cpu does not compute what PyTorch computes: its speed is no use."],
        "rows": rows,
        "batch": 32,
        "rounds": 5,
        "threads": 2,
        "role": "autoencoder",
        "image_shape": [1, 8, 8],
        "machine": {"processor": "a processor"},
    }
    (folder / "bench.json").write_text(json.dumps(report))
    page = page_of(tiny)
    said = text_of(page)
    assert "onnx gives 2.0 × the images a second of PyTorch." in said
    assert "its speed is no use." in said
    assert '<span class="bar" style="--share: 0.5000"></span>2,500' in page
    assert '<td class="failed">FAILED parity</td>' in page
    assert "ncnn: engine is not installed" in said
    assert "-0.00" not in said
    assert "The autoencoder on images of 1 × 8 × 8, 2 threads, 5 rounds, on a processor." in said
    (folder / "bench.json").write_text(json.dumps({**report, "digest": "0" * 64}))
    assert "is of another model: run aedeploy bench tiny again." in text_of(page_of(tiny))
    (folder / "bench.json").unlink()
    assert "run aedeploy bench tiny." in text_of(page_of(tiny))


def test_what_was_measured_of_denoising_beside_it(tmp_path: Path) -> None:
    tiny = write_tiny_bundle(tmp_path / "tiny", denoising=True)
    folder = tmp_path / "tiny-denoising"
    folder.mkdir()
    results = [{"sigma": 25.0, "method": "BM3D", "psnr": 28.62, "ssim": 0.803, "megapixels_per_second": 0.04}]
    report = {"bundle": "tiny", "results": results, "images": 68, "data": "/secret/place/bsd68"}
    (folder / "denoising.json").write_text(json.dumps(report))
    written = write_report(tiny, ReportOptions(pictures=("denoising",)))
    said = text_of(written.path.read_text(encoding="utf-8"))
    assert "denoising" in written.pictures
    assert "25 BM3D 28.62 0.803 0.04" in said
    assert "On 68 images of bsd68." in said


def test_the_written_part_of_the_card(tiny: Bundle) -> None:
    write_card(tiny, "## What it is *not* for\n\nSee `this`, **and** <i>that</i>.\n\n- one\n  and more\n- two")
    page = page_of(tiny)
    assert "<h3>What it is <em>not</em> for</h3>" in page
    assert "<p>See <code>this</code>, <strong>and</strong> &lt;i&gt;that&lt;/i&gt;.</p>" in page
    assert "<li>one and more</li>" in page
    assert KEPT_FROM not in page
    assert KEPT_TO not in page
    write_card(tiny, "## One\n\n" + "long " * 400 + "\n\n## Two\n\nmore")
    page = page_of(tiny)
    assert page.index("<h3>One") < page.index("<summary>The rest of it</summary>") < page.index("<h3>Two")
