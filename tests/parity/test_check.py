"""Parity across everything: formats with one another, image files, choices, and tolerances that were asked for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.golden import load_samples
from aedeploy.bundle.store import PARITY_FILE
from aedeploy.export import export_bundle
from aedeploy.images import geometry
from aedeploy.parity import from_files
from aedeploy.parity.check import check_parity, record_parity
from aedeploy.parity.report import COMPOSED, FILE_ENCODED, FILE_RECONSTRUCTED
from aedeploy.parity.verify import verify_bundle
from aedeploy.runtime.backends import eager
from aedeploy.runtime.open import open_graph


@pytest.fixture(scope="module")
def two(trained_bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A colour bundle in two formats, one of them of both kinds of pixels."""
    path = tmp_path_factory.mktemp("two") / "two"
    bundle = open_bundle(shutil.copytree(trained_bundles["standardised-rgb"].path, path))
    export_bundle(bundle, ["onnx", "torchscript"], parity=False)
    return export_bundle(open_bundle(path), ["onnx"], pixels="uint8", parity=False).bundle


def test_every_pair_of_variants_decodes_the_others_latents(two: Bundle) -> None:
    report = check_parity(two)
    assert report.failures() == []
    variants = {("onnx", "float32"), ("onnx", "uint8"), ("torchscript", "float32")}
    pairs = {((g.format, g.pixels), g.decoder) for g in report.graphs if g.decoder}
    assert pairs == {(one, other) for one in variants for other in variants if one != other}
    for graph in report.graphs:
        if graph.decoder:
            assert graph.role == COMPOSED
            assert {case.kind for case in graph.cases} == {"real", "noise"}
    roles = {"encoder", "decoder", "autoencoder", COMPOSED, FILE_ENCODED, FILE_RECONSTRUCTED}
    for variant in variants:
        assert {g.role for g in report.graphs if (g.format, g.pixels) == variant and not g.decoder} == roles


def test_a_pair_that_does_not_fit_fails_both(two: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only shows when the latents of one engine come to another: here, a decoder that is another one by then."""
    from aedeploy.parity import crossing

    def open_other(bundle: Bundle, role: str, **options: Any) -> Any:
        runner = open_graph(bundle, role, **options)
        run = runner.run
        if options["format"] == "torchscript":
            runner.run = lambda inputs: run({"latent": inputs["latent"][:, ::-1].copy()})
        return runner

    monkeypatch.setattr(crossing, "open_graph", open_other)
    report = check_parity(two, [("onnx", "float32"), ("torchscript", "float32")])
    assert [graph.name for graph in report.graphs if not graph] == ["onnx encoder→torchscript decoder"]
    assert "onnx encoder→torchscript decoder: reconstruction on real images" in report.failures()[0]
    assert not report.passed("encoder", "onnx")
    assert not report.passed("decoder", "torchscript")
    assert report.passed("decoder", "onnx")
    assert report.passed("autoencoder", "onnx")


# ---- image files


def _broken_geometry(change: Callable[[Image.Image], Image.Image]) -> Callable[..., np.ndarray]:
    apply = geometry.Geometry.apply
    return lambda self, image: apply(self, change(image))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda i: i.resize((8, 8), Image.Resampling.NEAREST), id="nearest in place of bilinear"),
        pytest.param(lambda i: i.resize((8, 8), Image.Resampling.BICUBIC), id="bicubic"),
        pytest.param(lambda i: i.resize((8, 8), Image.Resampling.BILINEAR, reducing_gap=1.0), id="reduced first"),
        pytest.param(lambda i: i.convert("RGB", matrix=(0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0)), id="BGR"),
        pytest.param(lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT), id="mirrored"),
        pytest.param(lambda i: i.crop((1, 0, *i.size)), id="cropped by one"),
        pytest.param(lambda i: i.convert("L").convert("RGB"), id="without colour"),
    ],
)
def test_a_pipeline_that_prepares_images_otherwise_fails(
    two: Bundle, monkeypatch: pytest.MonkeyPatch, change: Callable[[Image.Image], Image.Image]
) -> None:
    monkeypatch.setattr(geometry.Geometry, "apply", _broken_geometry(change))
    report = check_parity(two, [("onnx", "float32")])
    failed = {graph.role for graph in report.graphs if not graph}
    assert failed == {FILE_ENCODED, FILE_RECONSTRUCTED}
    assert any("onnx file→latent: latent on files" in sentence for sentence in report.failures())
    assert not report.passed("encoder", "onnx")


def test_a_pipeline_that_ignores_exif_fails(two: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aedeploy.images.read._turn", lambda image: None)
    report = check_parity(two, [("onnx", "uint8")])
    assert {graph.role for graph in report.graphs if not graph} == {FILE_ENCODED, FILE_RECONSTRUCTED}


def test_the_samples_are_written_as_files_of_many_kinds(two: Bundle, tmp_path: Path) -> None:
    samples = load_samples(two.file(two.manifest.golden))
    paths = from_files.write_files(tmp_path, samples)
    seen = [_opened(path) for path in paths]
    assert {format for format, *_ in seen} == {"PNG", "JPEG"}
    assert {mode for _, mode, *_ in seen} >= {"RGB", "RGBA", "L"}
    assert {turn for *_, turn in seen} >= {1, 3, 6, 8}
    assert len({size for *_, size, _ in seen}) == len(seen)
    # A grey model's too.
    (tmp_path / "grey").mkdir()
    grey = [_opened(path) for path in from_files.write_files(tmp_path / "grey", samples[..., :1])]
    assert {mode for _, mode, *_ in grey} >= {"L", "LA", "RGB"}


def _opened(path: Path) -> tuple[str | None, str, tuple[int, int], int]:
    """Format, mode, size and orientation of a file."""
    with Image.open(path) as image:
        return image.format, image.mode, image.size, image.getexif().get(ExifTags.Base.Orientation, 1)


def test_files_of_ones_own_are_checked_turned_ones_first(two: Bundle, shared_data: Path, tmp_path: Path) -> None:
    found = sorted(path for path in shared_data.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    if not found:
        pytest.skip("no PNG or JPEG there")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not an image")
    chosen = from_files.chosen([broken, *found])
    assert 0 < len(chosen) <= from_files.MOST_FILES
    assert broken not in chosen
    report = check_parity(two, [("onnx", "float32")], files=[broken, *found])
    assert report.failures() == []
    (case,) = next(graph for graph in report.graphs if graph.role == FILE_ENCODED).cases
    assert (case.kind, case.batch) == ("files", len(chosen))


# ---- choices


@pytest.mark.parametrize("recipe", ["vq-vae", "fsq", "k-sparse", "batch-topk"])
def test_the_gap_of_ones_own_choice_is_none(trained_bundles: dict[str, Bundle], recipe: str) -> None:
    bundle = trained_bundles[recipe]
    images = _images(bundle)
    with open_graph(bundle, "encoder", backend="eager") as encoder:
        codes = encoder.run({"image": images})
    verdicts = eager.open_verdicts(bundle)
    assert verdicts is not None
    gap, latent = verdicts(images, codes)
    choices = codes.get("indices", codes["latent"])
    assert gap.shape == choices.shape
    assert latent.shape == codes["latent"].shape
    # A tie in float32 may be none in float64.
    assert 0.0 <= gap.max() < 1e-5
    np.testing.assert_allclose(latent, codes["latent"], rtol=1e-4, atol=1e-4)


def _images(bundle: Bundle) -> np.ndarray:
    samples = load_samples(bundle.file(bundle.manifest.golden))[:8]
    return np.ascontiguousarray(samples.transpose(0, 3, 1, 2)).astype(np.float32) / np.float32(255)


@pytest.mark.parametrize("recipe", ["vq-vae", "fsq"])
def test_the_gap_of_a_wrong_index_is_its_distance(trained_bundles: dict[str, Bundle], recipe: str) -> None:
    bundle = trained_bundles[recipe]
    images = _images(bundle)
    with open_graph(bundle, "encoder", backend="eager") as encoder:
        codes = encoder.run({"image": images})
    wrong = codes["indices"].copy()
    wrong[0, 2, 3] = (wrong[0, 2, 3] + 1) % (bundle.manifest.latent.codebook_size or 0)  # type: ignore[union-attr]
    wrong[1, 0, 0] = -1
    wrong[1, 0, 1] = bundle.manifest.latent.codebook_size  # type: ignore[union-attr]
    verdicts = eager.open_verdicts(bundle)
    assert verdicts is not None
    gap, latent = verdicts(images, {**codes, "indices": wrong})
    assert gap[0, 2, 3] > 1e-4
    assert np.isinf(gap[1, 0, :2]).all()
    others = np.ones(gap.shape, bool)
    others[0, 2, 3] = others[1, 0, 0] = others[1, 0, 1] = False
    assert gap[others].max() < 1e-5
    assert np.abs(latent[0, :, 2, 3] - codes["latent"][0, :, 2, 3]).max() > 1e-4


@pytest.mark.parametrize("recipe", ["k-sparse", "batch-topk"])
def test_the_gap_of_a_wrong_mask_is_by_entry(trained_bundles: dict[str, Bundle], recipe: str) -> None:
    bundle = trained_bundles[recipe]
    images = _images(bundle)
    with open_graph(bundle, "encoder", backend="eager") as encoder:
        latent = encoder.run({"image": images})["latent"]
    verdicts = eager.open_verdicts(bundle)
    assert verdicts is not None
    wrong = latent.copy()
    largest = tuple(int(at) for at in np.unravel_index(wrong.argmax(), wrong.shape))
    wrong[largest] = 0.0
    gap, _ = verdicts(images, {"latent": wrong})
    assert gap[largest] == gap.max() > 1e-2
    assert np.count_nonzero(gap > 1e-5) == 1


def test_a_model_without_choices_has_no_verdicts(trained_bundles: dict[str, Bundle]) -> None:
    assert eager.open_verdicts(trained_bundles["mlp-32"]) is None


@pytest.mark.parametrize("recipe", ["vq-vae", "fsq", "k-sparse", "batch-topk"])
def test_one_decision_that_is_worse_fails_however_rare(
    trained_bundles: dict[str, Bundle], tmp_path: Path, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One wrong choice in the largest call is below any rate that could be allowed: its gap gives it away."""
    from aedeploy.runtime.backends import onnxruntime

    path = shutil.copytree(trained_bundles[recipe].path, tmp_path / recipe)
    bundle = export_bundle(open_bundle(path), ["onnx"]).bundle
    run = onnxruntime.OnnxRunner.run

    def once_wrong(self: Any, inputs: Any) -> Any:
        results = run(self, inputs)
        if self.inputs[0].name != "image" or "latent" not in results or len(results["latent"]) != 64:
            return results
        if "indices" in results:
            results["indices"][5].flat[7] = (results["indices"][5].flat[7] + 3) % 7
        else:
            row = results["latent"][5].reshape(-1)
            if row.any():
                row[row.argmax()] = 0.0
        return results

    monkeypatch.setattr(onnxruntime.OnnxRunner, "run", once_wrong)
    report = check_parity(bundle)
    encoder = next(graph for graph in report.graphs if graph.role == "encoder")
    assert not encoder
    assert "fell for a worse choice than PyTorch's" in (encoder.reason or "") or "is above" in (encoder.reason or "")


# ---- tolerances that were asked for


def test_what_was_asked_for_stands_in_the_report_the_manifest_and_verify(two: Bundle, tmp_path: Path) -> None:
    bundle = open_bundle(shutil.copytree(two.path, tmp_path / "own"))
    asked = {"latent": 1e-3, "onnx:gap": 0.5}
    report = check_parity(bundle, tolerances=asked)
    assert report
    recorded = record_parity(bundle, report)
    written = json.loads((bundle.path / PARITY_FILE).read_text())
    assert written["overrides"] == asked
    for result in written["results"]:
        if result["decoder"] is None:
            assert result["overrides"] == (
                {"latent": 1e-3, "gap": 0.5} if result["format"] == "onnx" else {"latent": 1e-3}
            )
        assert result["tolerances"]["latent"]["absolute"] == 1e-3
    for graph in recorded.manifest.graphs:
        assert graph.tolerances["latent"] == 1e-3
    verified = verify_bundle(recorded)
    assert verified
    assert verified.overrides["torchscript encoder"] == {"latent": 1e-3}
    limits = [r.limit for r in verified.results if r.output == "latent"]
    assert limits
    assert all(limit is not None and limit > 1e-3 for limit in limits)
    # Judged by the usual again, nothing of that is left.
    again = record_parity(recorded, check_parity(recorded))
    assert all(graph.tolerances == {} for graph in again.manifest.graphs)


def test_a_tolerance_can_be_made_stricter(two: Bundle) -> None:
    report = check_parity(two, [("onnx", "float32")], tolerances={"latent": 0.0, "image": 0.0})
    assert not report
