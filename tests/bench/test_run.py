"""A benchmark of real bundles, in real processes. No time is asserted, only what was measured and what is said."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from aedeploy.bench import BenchReport, benchmark
from aedeploy.bench.contenders import BASELINE_NAME, Absence
from aedeploy.bench.run import Progress
from aedeploy.bundle import Bundle, GraphRecord, open_bundle
from aedeploy.errors import AedeployError, BackendError, ConfigError
from aedeploy.files import sha256_of

ONNX = [("onnx", "float32")]


def measured(bundle: Bundle, variants: list[tuple[str, str]], **options: object) -> BenchReport:
    *_, report = benchmark(bundle, variants, rounds=1, batch=4, threads=1, **options)  # type: ignore[arg-type]
    assert isinstance(report, BenchReport)
    json.dumps(report.as_dict(), allow_nan=False)
    return report


def changed(bundle: Bundle, **changes: object) -> Bundle:
    return bundle.save(bundle.manifest.model_copy(update=changes))


def with_graphs(bundle: Bundle, **changes: object) -> Bundle:
    return changed(bundle, graphs=tuple(graph.model_copy(update=changes) for graph in bundle.manifest.graphs))


@pytest.mark.parametrize("role", ["autoencoder", "encoder", "decoder"])
def test_every_figure_of_a_graph(bundle: Bundle, role: str) -> None:
    before = {path: sha256_of(path) for path in bundle.path.rglob("*") if path.is_file()}
    report = measured(bundle, ONNX, role=role)
    row = next(row for row in report.rows if row.variant == "onnx")
    assert (row.status, row.reason, row.backend, row.device) == ("passed", None, "onnxruntime", "cpu")
    record = bundle.manifest.graph(role, "onnx")
    assert record is not None
    assert row.bytes == record.file.bytes
    for figure in (row.load_ms, row.latency_ms, row.latency_p95_ms, row.images_per_second):
        assert figure is not None
        assert figure > 0
    assert row.latency_p95_ms >= row.latency_ms  # type: ignore[operator]
    assert row.peak_bytes is None or row.peak_bytes > 10e6
    assert row.against_onnx == 1.0
    assert len(row.images_per_second_rounds) == report.rounds == 1
    # Its recipe is none that PyTorch could build: the reference is what the golden vectors hold.
    assert report.reference == "golden vectors"
    assert row.max_error is not None
    assert row.max_error < 1e-5
    assert row.psnr_lost == pytest.approx(0, abs=1e-3)
    assert {path: sha256_of(path) for path in bundle.path.rglob("*") if path.is_file()} == before


def test_a_row_that_cannot_run_does_not_stop_the_others(bundle: Bundle) -> None:
    pytest.importorskip("torch")
    report = measured(bundle, ONNX)
    baseline, onnx = report.rows
    assert (baseline.variant, baseline.status) == (BASELINE_NAME, "failed to run")
    assert baseline.reason
    assert baseline.images_per_second is None
    assert onnx.measured
    assert report.fastest == onnx
    assert report.baseline is None


def test_an_altered_file_is_its_rows_status(bundle: Bundle) -> None:
    whole = bundle.manifest.graph("autoencoder", "onnx")
    assert whole is not None
    wrong = whole.model_copy(update={"format": "ort", "file": whole.file.model_copy(update={"sha256": "0" * 64})})
    bundle = changed(bundle, graphs=(*bundle.manifest.graphs, wrong))
    rows = {row.variant: row for row in measured(bundle, [*ONNX, ("ort", "float32")]).rows}
    assert rows["onnx"].measured
    assert rows["ort"].status == "failed to run"
    assert "was altered" in str(rows["ort"].reason)


def test_what_failed_parity_is_measured_and_told(bundle: Bundle) -> None:
    report = measured(with_graphs(bundle, parity="failed"), ONNX)
    row = next(row for row in report.rows if row.variant == "onnx")
    assert row.status == "failed parity"
    assert row.measured
    assert report.fastest is None
    assert any("does not compute what PyTorch computes" in verdict for verdict in report.verdicts)


def test_a_wrong_graph_shows_its_error_and_its_loss(bundle: Bundle) -> None:
    import onnx

    record = bundle.manifest.graph("autoencoder", "onnx")
    assert record is not None
    path = bundle.path / record.file.path
    model = onnx.load(path)
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "decoder.weight")
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * 0.5, "decoder.weight"))
    path.write_bytes(model.SerializeToString())
    from aedeploy.bundle.store import record_file

    graphs = tuple(
        graph.model_copy(update={"file": record_file(bundle.path, graph.file.path)}) for graph in bundle.manifest.graphs
    )
    row = next(row for row in measured(changed(bundle, graphs=graphs), ONNX).rows if row.variant == "onnx")
    assert row.max_error is not None
    assert row.max_error > 0.1
    assert row.psnr_lost is not None
    assert row.psnr_lost > 1


def test_what_is_absent_has_a_row_that_says_why(bundle: Bundle) -> None:
    absent = {
        ("openvino", "float32"): Absence(status="engine missing", reason="run  pip install 'aedeploy[openvino]'"),
        ("onnx-int8", "uint8"): Absence(status="failed to export", reason="no real images"),
    }
    rows = {row.variant: row for row in measured(bundle, ONNX, absent=absent).rows}
    assert (rows["openvino"].status, rows["openvino"].reason) == (
        "engine missing",
        "run  pip install 'aedeploy[openvino]'",
    )
    assert rows["onnx-int8 uint8"].status == "failed to export"
    assert rows["onnx"].measured


def test_a_format_that_nothing_runs_is_said_so(bundle: Bundle) -> None:
    whole = bundle.manifest.graph("autoencoder", "onnx")
    assert whole is not None
    later = whole.model_copy(update={"format": "tensorrt"})
    bundle = changed(bundle, graphs=(*bundle.manifest.graphs, later))
    rows = {row.variant: row for row in measured(bundle, [*ONNX, ("tensorrt", "float32")]).rows}
    assert rows["tensorrt"].status == "engine missing"
    assert rows["onnx"].measured


def test_an_engine_that_is_not_installed_names_its_install_line(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aedeploy.runtime.backends import onnxruntime

    monkeypatch.setattr(onnxruntime, "missing", lambda: "onnxruntime")
    pytest.importorskip("torch")
    with pytest.raises(BackendError, match="pip install"):  # and nothing else is left that could run
        measured(bundle, ONNX)


def test_rounds_go_over_all_contenders_in_turn(bundle: Bundle) -> None:
    events = benchmark(bundle, ONNX, rounds=3, batch=2, threads=1)
    said = [event for event in events if isinstance(event, Progress)]
    turns = [event.what for event in said if event.what.startswith("round")]
    contenders = len(turns) // 3
    assert [turn.split(":")[0] for turn in turns] == [f"round {n} of 3" for n in (1, 2, 3) for _ in range(contenders)]
    assert [event.done for event in said] == list(range(len(said)))
    assert all(event.done < event.total for event in said)


def test_a_device_that_is_not_there_is_an_error(bundle: Bundle) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("there is a GPU here")
    with pytest.raises(BackendError, match="could be run on cuda"):
        measured(bundle, ONNX, devices=["cpu", "cuda"])
    with pytest.raises(ConfigError, match="--device tpu: choose from cpu, cuda"):
        measured(bundle, ONNX, devices=["tpu"])


@pytest.mark.parametrize(("option", "value"), [("batch", 0), ("rounds", 0), ("threads", -1)])
def test_a_number_out_of_range_is_refused(bundle: Bundle, option: str, value: int) -> None:
    with pytest.raises(ConfigError, match="1 or more"):
        list(benchmark(bundle, ONNX, **{option: value}))  # type: ignore[arg-type]


def test_a_model_that_cannot_be_cut(bundle: Bundle) -> None:
    whole: tuple[GraphRecord, ...] = tuple(g for g in bundle.manifest.graphs if g.role == "autoencoder")
    bundle = changed(bundle, latent=None, graphs=whole)
    assert any(row.measured for row in measured(bundle, ONNX).rows)
    with pytest.raises(ConfigError, match="cannot be cut"):
        measured(bundle, ONNX, role="encoder")


def test_somebodys_own_code_is_not_imported_unless_it_is_named(bundle: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    bundle = changed(bundle, recipe={"name": "own", "model": {"module": "theirs:Model"}})
    for module in (None, "others:Model"):
        baseline = measured(bundle, ONNX, module=module).rows[0]
        assert baseline.status == "left out"
        assert "--module theirs:Model" in str(baseline.reason)


@pytest.mark.slow
def test_a_codebook_any_size_and_both_kinds_of_pixels(trained_bundles: dict[str, Bundle], tmp_path: Path) -> None:
    from aedeploy.export import export_bundle

    copy = open_bundle(shutil.copytree(trained_bundles["vq-vae"].path, tmp_path / "vq vae"))
    for pixels in ("float32", "uint8"):
        copy = export_bundle(copy, ["onnx", "torchscript"], pixels=pixels, parity=False).bundle  # type: ignore[arg-type]
    variants = [(format, pixels) for format in ("onnx", "torchscript") for pixels in ("float32", "uint8")]
    report = measured(copy, variants, role="encoder")
    assert report.reference.startswith("PyTorch")
    assert [row.status for row in report.rows] == ["baseline", *["unchecked"] * 4]
    for row in report.rows:
        assert row.measured, row
        assert row.psnr_lost == pytest.approx(0, abs=0.05)
        assert row.max_error is not None
        assert row.max_error <= (1 / 255 if row.pixels == "uint8" else 1e-4) * 1.001
    assert report.baseline == report.rows[0]


def test_slow_quantisation_is_not_worth_it(bundle: Bundle) -> None:
    report = measured(bundle, ONNX)
    plain = next(row for row in report.rows if row.variant == "onnx")
    slow = replace(
        plain, variant="onnx-int8", precision="int8", against_onnx=0.9, psnr_lost=0.5, bytes=(plain.bytes or 0) // 4
    )
    (verdict,) = replace(report, rows=(plain, slow)).verdicts
    assert verdict == (
        "onnx-int8 on cpu is not worth it here for its speed (0.90 × the throughput of onnx), "
        "only for its size (0.25 ×); 0.50 dB are lost."
    )
    fast = replace(slow, against_onnx=1.4)
    assert replace(report, rows=(plain, fast)).verdicts == []


def test_nothing_is_left_when_it_is_closed_early(bundle: Bundle) -> None:
    import psutil

    before = {child.pid for child in psutil.Process().children(recursive=True)}
    events = benchmark(bundle, ONNX, rounds=50, threads=1)
    for event in events:
        if isinstance(event, Progress) and event.what.startswith("round 1"):
            break
    assert {child.pid for child in psutil.Process().children(recursive=True)} - before
    events.close()  # type: ignore[attr-defined]
    assert not {child.pid for child in psutil.Process().children(recursive=True)} - before


def test_a_bundle_without_samples_is_an_error_of_its_row(bundle: Bundle) -> None:
    from safetensors.numpy import load_file, save_file

    from aedeploy.bundle.store import record_file

    path = bundle.path / "golden.safetensors"
    save_file({name: array for name, array in load_file(path).items() if name != "samples"}, path)
    bundle = changed(bundle, golden=record_file(bundle.path, "golden.safetensors"))
    with pytest.raises(AedeployError, match="no sample images"):
        measured(bundle, ONNX)
