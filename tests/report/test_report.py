"""The report of a bundle: what is on the page, and that it asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report.report_pages import HOSTILE, Found, bench_row, copied, failed_result, page_of, text_of
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle
from aedeploy.bundle.card import write_card
from aedeploy.parity.verify import verify_bundle
from aedeploy.report import REPORT_FILE, Report, ReportOptions, write_report

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")


@pytest.fixture(scope="module")
def plane(exported_bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Report, str]:
    """A bundle with a latent of two numbers, its report, and the page."""
    bundle = copied(exported_bundles["mlp-2d"], tmp_path_factory.mktemp("report"))
    written = write_report(bundle, ReportOptions(limit=60))
    return bundle, written, written.path.read_text(encoding="utf-8")


def test_it_has_all_that_applies(plane: tuple[Bundle, Report, str]) -> None:
    bundle, written, page = plane
    assert written.path == bundle.path / REPORT_FILE
    assert written.bytes == written.path.stat().st_size < 3e6
    assert written.pictures == (
        *("curves", "reconstructions", "latents", "manifold", "interpolation", "arithmetic", "samples", "traversals"),
        *("activity", "filters", "jacobian"),
    )
    assert {one.kind for one in written.not_drawn} == {"denoising", "codebook", "kl", "feature-maps"}
    figures = [attributes["id"] for tag, attributes in Found(page).elements if tag == "figure"]
    assert figures == [f"picture-{kind}" for kind in written.pictures]
    said = text_of(page)
    for one in written.not_drawn:
        assert one.reason in said
    assert "Drawn of 60" in said


def test_figures_of_the_manifest_are_on_it(plane: tuple[Bundle, Report, str]) -> None:
    bundle, _, page = plane
    manifest, said = bundle.manifest, text_of(page)
    count = len(manifest.graphs)
    assert f"All {count} graphs passed parity" in said
    assert f"{count} passed, 0 failed, 0 unchecked" in said
    assert "2 numbers for 784 pixel values: 392 × fewer" in said
    assert "64 at 32 a number, for 8 a pixel value: 98 × fewer" in said
    assert f"{manifest.metrics['psnr']:.5g}" in said
    assert "mean squared error of a pixel in [0, 1]" in said
    assert f"{parameters(bundle):,} parameters" in said
    for file in bundle.files():
        assert f"{file.path} {file.bytes:,} {file.sha256[:16]}…" in said
    assert "latent float32 [batch, 2]" in said
    assert "image float32 [batch, 1, 28, 28] in [0, 1]" in said
    assert manifest.digest in said
    assert manifest.provenance.created[:10] in said
    assert "aedeploy encode photos/" in said


def parameters(bundle: Bundle) -> int:
    from safetensors.numpy import load_file

    return sum(array.size for array in load_file(bundle.path / "weights.safetensors").values())


def test_parity_is_a_table_with_a_word_for_each_verdict(plane: tuple[Bundle, Report, str]) -> None:
    bundle, _, page = plane
    results = json.loads((bundle.path / "parity.json").read_text())["results"]
    rows = re.findall(r"<tr><td class=\"plain\">([^<]+)</td><td class=\"passed\">passed</td>(.*?)</tr>", page)
    shown = [name for name, rest in rows if "≤" in rest]
    assert len(shown) == sum(len(result["worst"]) for result in results if not result["decoder"]) + len(
        [result for result in results if result["decoder"]]
    )
    worst = results[0]["worst"][0]
    assert f'{worst["max_abs"]:.1e}</td><td class="figure">≤ {worst["limit"]:.1e}' in page
    assert "FAILED" not in text_of(page)


def test_the_same_bundle_is_the_same_page(plane: tuple[Bundle, Report, str], tmp_path: Path) -> None:
    bundle, _, page = plane
    assert page_of(bundle, limit=60, pictures=None, out=tmp_path / "deep" / "again.html") == page


def test_nothing_else_in_the_bundle_is_touched(plane: tuple[Bundle, Report, str]) -> None:
    bundle, _, _ = plane
    assert all(bundle.file(record) for record in bundle.files())
    assert verify_bundle(bundle)
    assert not list(bundle.path.glob("*partial*"))


def test_no_path_of_this_machine(plane: tuple[Bundle, Report, str]) -> None:
    bundle, _, page = plane
    for path in (str(bundle.path.parent), str(Path.home()), str(Path.cwd())):
        assert path not in page


def test_its_policy_lets_its_own_style_and_script_through(plane: tuple[Bundle, Report, str]) -> None:
    _, _, page = plane
    found = Found(page)
    policy = next(each["content"] for tag, each in found.elements if each.get("http-equiv"))
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    (code,) = [text for attributes, text in found.scripts if "type" not in attributes]
    (style,) = found.styles
    assert rules["script-src"] == hash_of(code)
    assert rules["style-src-elem"] == hash_of(style)
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"


def hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_it_asks_nobody_for_anything(plane: tuple[Bundle, Report, str]) -> None:
    _, _, page = plane
    for tag, attributes in Found(page).elements:
        for name in ("src", "href", "xlink:href", "action", "srcset", "data"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:")), (tag, name, value[:80])
        assert not [name for name in attributes if name.startswith("on")]
    assert "url(http" not in page
    assert "@import" not in page


def test_names_in_svgs_are_theirs_alone(plane: tuple[Bundle, Report, str]) -> None:
    _, _, page = plane
    names = [attributes["id"] for _, attributes in Found(page).elements if attributes.get("id")]
    assert len(names) == len(set(names))
    wanted = {value[1:] for _, each in Found(page).elements if (value := each.get("xlink:href") or "").startswith("#")}
    assert wanted <= set(names)


def test_every_picture_has_a_name_and_a_sentence(plane: tuple[Bundle, Report, str]) -> None:
    _, written, page = plane
    drawn = [attributes for tag, attributes in Found(page).elements if tag == "svg"]
    assert len(drawn) == len(written.pictures)
    assert all(each["role"] == "img" and len(each["aria-label"] or "") > 40 for each in drawn)


def test_points_and_frames_are_there_for_the_script(plane: tuple[Bundle, Report, str]) -> None:
    _, _, page = plane
    found = {name: json.loads(text) for each, text in Found(page).scripts for name in each if name.startswith("data-")}
    points = found["data-points"]
    assert len(points["points"]) == len(points["names"]) == 60
    assert all(0.0 <= at <= 1.0 for point in points["points"] for at in point)
    assert (points["sheet"]["columns"], points["sheet"]["rows"]) == (8, 8)
    frames = found["data-frames"]
    assert frames["sheet"]["columns"] == len(frames["steps"])
    assert frames["sheet"]["rows"] == len(frames["names"])
    assert frames["steps"][0].startswith(f"1 of {len(frames['steps'])}")


def test_a_codebook_has_bits_and_its_picture(trained_bundles: dict[str, Bundle], tmp_path: Path) -> None:
    chosen = ReportOptions(limit=12, out=tmp_path / "vq.html", pictures=("codebook", "samples"), backend="eager")
    written = write_report(trained_bundles["vq-vae"], chosen)
    assert written.pictures == ("codebook",)
    assert [one.kind for one in written.not_drawn] == ["samples"]
    said = text_of(written.path.read_text(encoding="utf-8"))
    assert "49 indices of 7 bits each, for 784 pixel values" in said
    assert "343 for 8 a pixel value: 18.29 × fewer" in said


def test_no_name_is_markup(tmp_path: Path) -> None:
    tiny = write_tiny_bundle(tmp_path / "tiny", gaussian=True)
    manifest = tiny.manifest
    data = manifest.provenance.data
    assert data is not None
    recipe = {**manifest.recipe, "summary": HOSTILE, "source": HOSTILE, "name": HOSTILE, HOSTILE: [HOSTILE]}
    provenance = manifest.provenance.model_copy(
        update={"created": HOSTILE, "platform": HOSTILE, "data": data.model_copy(update={"name": HOSTILE})}
    )
    metrics = {HOSTILE: 1.0}
    changed = {"name": HOSTILE, "recipe": recipe, "provenance": provenance, "metrics": metrics}
    tiny = tiny.save(manifest.model_copy(update=changed))
    write_card(
        tiny, f"# {HOSTILE}\n\n{HOSTILE}\n\n- {HOSTILE}\n\n| {HOSTILE} |\n|---|\n| {HOSTILE} |\n\n```\n{HOSTILE}\n```"
    )
    (tiny.path / "parity.json").write_text(
        json.dumps({"bundle": HOSTILE, "results": [failed_result(role=HOSTILE, format=HOSTILE, reason=HOSTILE)]})
    )
    bench = {"digest": tiny.manifest.digest, "headline": HOSTILE, "verdicts": [HOSTILE], "rows": [bench_row(HOSTILE)]}
    beside = tmp_path / "tiny-bench"
    beside.mkdir()
    (beside / "bench.json").write_text(json.dumps(bench))
    images = tmp_path / "images"
    for label in ("<script>alert(3)<", "b\"'&"):
        (images / label).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(np.full((8, 8), 20 * number, np.uint8)).save(images / label / f"{number}.png")
    page = page_of(tiny, data=str(images), pictures=("latents", "interpolation", "traversals"))
    found = Found(page)
    scripts = [attributes for attributes, _ in found.scripts]
    assert [each for each in scripts if each.get("type") != "application/json"] == [{}]
    assert not [tag for tag, _ in found.elements if tag == "img"]
    for attributes, text in found.scripts:
        if attributes:
            assert "<" not in text
            json.loads(text)
    assert text_of(page).count("<script>alert(1)</script>") > 10
    assert "{{ 7 * 7 }}" in text_of(page)
    assert "<script>alert(3)<" in json.dumps([json.loads(text) for each, text in found.scripts if each])
