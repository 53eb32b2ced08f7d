from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sink_rows import chunk_of, image_chunk, job_settings

from aedeploy.jobs.chunk import Chunk
from aedeploy.jobs.sinks import Sink
from aedeploy.jobs.sinks.scores import ScoresContract, ScoresSink, Verdict, verdict
from aedeploy.jobs.sinks.tar import TarSink
from aedeploy.jobs.sinks.tree import TreeSink


def contract(threshold: float | None = None) -> ScoresContract:
    return ScoresContract(
        bundle="tiny",
        bundle_digest="d",
        graph_format="onnx",
        reading={"decode": "full", "resize": "exact"},
        measured="model",
        threshold=threshold,
        quantile=None if threshold is None else 0.99,
    )


def scored(*paths: str) -> Chunk:
    """A chunk whose errors are 0.1, 0.2, 0.3, …"""
    errors = np.arange(1, len(paths) + 1, dtype=np.float32) / np.float32(10)
    return chunk_of(paths, mse=errors, ssim=1 - errors)


def test_a_shards_chunks_become_one_table_in_their_order(tmp_path: Path) -> None:
    sink = ScoresSink(job_settings(tmp_path / "out"), contract(), None)
    (output,) = sink.commit(3, [scored("b.png", "ä/a\n.png"), chunk_of([]), scored("c.png")])
    path = tmp_path / "out" / output.file
    assert (output.file, output.bytes) == ("scores-00003.parquet", path.stat().st_size)
    assert sink.files(3) == ("scores-00003.parquet",)
    table = pq.read_table(path)
    assert table.schema.names == ["path", "mse", "ssim"]
    assert [str(type) for type in table.schema.types] == ["string", "float", "float"]
    assert table["path"].to_pylist() == ["b.png", "ä/a\n.png", "c.png"]
    assert table["mse"].to_pylist() == np.float32([0.1, 0.2, 0.1]).tolist()


def test_above_the_threshold_is_an_anomaly_and_at_it_is_none(tmp_path: Path) -> None:
    at = float(np.float32(0.2))
    ScoresSink(job_settings(tmp_path / "out"), contract(at), None).commit(0, [scored("a", "b", "c")])
    table = pq.read_table(tmp_path / "out")
    assert table["anomaly"].to_pylist() == [False, False, True]
    said = json.loads(table.schema.metadata[b"aedeploy"])
    assert (said["kind"], said["version"], said["threshold"], said["quantile"]) == ("scores", 1, at, 0.99)
    assert (said["bundle"], said["bundle_digest"], said["graph_format"]) == ("tiny", "d", "onnx")
    assert (said["reading"], said["measured"]) == ({"decode": "full", "resize": "exact"}, "model")


def test_of_no_image_there_is_no_file(tmp_path: Path) -> None:
    assert ScoresSink(job_settings(tmp_path / "out"), contract(), None).commit(0, [chunk_of([])]) == ()
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(("kind", "files"), [(TreeSink, ["a.png", "b.png"]), (TarSink, ["images-00000.tar"])])
def test_heat_maps_go_where_images_go(tmp_path: Path, kind: type[Sink], files: list[str]) -> None:
    settings = job_settings(tmp_path / "out", container="tree" if kind is TreeSink else "tar")
    sink = ScoresSink(settings, contract(), kind(settings))  # type: ignore[call-arg]
    chunk = image_chunk("a.png", "b.png")
    chunk.arrays = scored("a.png", "b.png").arrays
    sink.write(chunk)
    assert all(row.image is None for row in chunk.rows)
    outputs = sink.commit(0, [chunk])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [*files, "scores-00000.parquet"]
    assert [output.file for output in outputs] == list(sink.files(0))


def test_whose_heat_map_cannot_be_written_has_no_row(tmp_path: Path) -> None:
    settings = job_settings(tmp_path / "out")
    sink = ScoresSink(settings, contract(), TreeSink(settings))
    chunk = image_chunk("a" * 260 + ".png", "b.png")
    chunk.arrays = scored("a", "b").arrays
    sink.write(chunk)
    sink.commit(0, [chunk])
    assert len(chunk.failures) == 1
    table = pq.read_table(tmp_path / "out" / "scores-00000.parquet")
    assert (table["path"].to_pylist(), table["mse"].to_pylist()) == (["b.png"], np.float32([0.2]).tolist())


def test_the_verdict_counts_all_files_of_ours(tmp_path: Path) -> None:
    settings = job_settings(tmp_path / "out")
    assert verdict(tmp_path / "out") is None
    ScoresSink(settings, contract(), None).commit(9, [scored("z")])
    assert verdict(tmp_path / "out") is None
    sink = ScoresSink(settings, contract(0.15), None)
    sink.commit(0, [scored("a", "b", "c")])
    sink.commit(1, [scored("d", "e")])
    pq.write_table(
        pq.read_table(tmp_path / "out").replace_schema_metadata({}), tmp_path / "out/scores-of-others.parquet"
    )
    assert verdict(tmp_path / "out") == Verdict(threshold=0.15, images=5, anomalies=3)
