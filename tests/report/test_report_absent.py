"""A report of what is not all there, and where it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from report.report_pages import absent, page_of, text_of
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle
from aedeploy.errors import BackendError, BundleError, ConfigError, MissingDependencyError, NothingToDoError
from aedeploy.files import sha256_of
from aedeploy.report import REPORT_FILE, Begun, Drawing, NotDrawn, Report, ReportOptions, write_report, writing_report

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")


@pytest.fixture
def tiny(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "tiny", gaussian=True)


def test_without_graphs_the_record_is_there(trained_bundles: dict[str, Bundle], tmp_path: Path) -> None:
    out = tmp_path / "plain.html"
    bundle = trained_bundles["mlp-2d"]
    written = write_report(bundle, ReportOptions(out=out, limit=30, pictures=("curves", "latents", "samples")))
    said = text_of(out.read_text(encoding="utf-8"))
    assert written.pictures == ("curves",)
    assert "No graph has been exported yet" in said
    assert "run aedeploy export mlp-2d --format onnx and then aedeploy report mlp-2d" in said
    assert "aedeploy report mlp-2d --backend eager" in said
    assert "Nothing was exported, so nothing was compared." in said
    assert len({one.reason for one in written.not_drawn if "no exported graph" in one.reason}) == 1
    by_weights = write_report(
        bundle, ReportOptions(out=out, limit=30, backend="eager", pictures=("latents", "manifold"))
    )
    assert by_weights.pictures == ("latents", "manifold")
    assert "by eager from the bundle’s own weights" in text_of(out.read_text(encoding="utf-8"))


def test_without_a_history(tiny: Bundle) -> None:
    assert "has no history.jsonl" in text_of(page_of(tiny, pictures=("curves",)))


def test_without_torch(exported_bundles: dict[str, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = exported_bundles["mlp-2d"]
    absent({"torch", "sklearn"}, monkeypatch)
    kinds = ("reconstructions", "samples", "filters")
    written = write_report(bundle, ReportOptions(out=tmp_path / "r.html", limit=30, pictures=kinds))
    reasons = {one.kind: one.reason for one in written.not_drawn}
    assert "pip install 'aedeploy[train]'" in reasons["filters"]
    assert "pip install 'aedeploy[pictures]'" in reasons["samples"]
    assert written.pictures == ("reconstructions",)
    assert "pip install 'aedeploy[train]'" in text_of(written.path.read_text(encoding="utf-8"))


def test_without_matplotlib_all_but_pictures(tiny: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    absent({"matplotlib"}, monkeypatch)
    written = write_report(tiny)
    assert written.pictures == ()
    assert "All 3 graphs passed parity" in text_of(written.path.read_text(encoding="utf-8"))


def test_without_jinja2(tiny: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    absent({"jinja2"}, monkeypatch)
    with pytest.raises(MissingDependencyError, match=r"The report needs the package 'jinja2'.*aedeploy\[pictures\]"):
        write_report(tiny)
    assert not (tiny.path / REPORT_FILE).exists()


def test_a_fault_in_one_picture_is_not_the_end(tiny: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    from aedeploy.pictures.kinds import activity

    def broken(*_: object) -> None:
        raise RuntimeError(f"at {tiny.path}/deep/file.py: <b>no</b>")

    monkeypatch.setattr(activity, "draw", broken)
    page = page_of(tiny, pictures=("activity", "kl"))
    assert 'id="picture-kl"' in page
    assert "RuntimeError: at file.py: <b>no</b>. This was not foreseen" in text_of(page)
    assert str(tiny.path) not in page


def test_where_it_may_go(tiny: Bundle, tmp_path: Path) -> None:
    for name in ("report.pdf", "tiny/weights.safetensors", "tiny/other.html", "."):
        with pytest.raises(ConfigError, match="--out"):
            write_report(tiny, ReportOptions(out=tmp_path / name))
    assert write_report(tiny, ReportOptions(out=tmp_path / "new" / "page.HTM", pictures=())).path.is_file()
    assert not (tiny.path / REPORT_FILE).exists()
    assert write_report(tiny, ReportOptions(out=tiny.path / REPORT_FILE, pictures=())).path.is_file()


def test_a_shipped_bundle_is_left_as_it_is(tmp_path: Path) -> None:
    from aedeploy.bundle.shipped import shipped_bundle

    shipped = shipped_bundle("denoiser-gray")
    before = {path: sha256_of(path) for path in shipped.path.rglob("*") if path.is_file()}
    for out in (None, shipped.path / REPORT_FILE):
        with pytest.raises(BundleError, match=r"came with the package.*--out denoiser-gray-report.html"):
            write_report(shipped, ReportOptions(out=out))
    written = write_report(shipped, ReportOptions(out=tmp_path / "denoiser.html", pictures=("denoising",)))
    assert "denoising" in written.pictures
    assert "What it is not for" in text_of(written.path.read_text(encoding="utf-8"))
    assert before == {path: sha256_of(path) for path in shipped.path.rglob("*") if path.is_file()}


def test_what_was_asked_for_and_cannot_be_is_an_error(tiny: Bundle, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingToDoError):
        write_report(tiny, ReportOptions(data=str(tmp_path / "empty")))
    with pytest.raises(BackendError):
        write_report(tiny, ReportOptions(device="cuda" if not cuda() else "mps"))
    assert not (tiny.path / REPORT_FILE).exists()


def cuda() -> bool:
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def test_events_come_before_and_after_each_picture(tiny: Bundle) -> None:
    events = list(writing_report(tiny, ReportOptions(pictures=("curves", "kl", "samples"))))
    begun = [event for event in events if isinstance(event, Begun)]
    assert [event.number for event in begun] == list(range(1, begun[0].total + 1))
    *pairs, last = events
    assert isinstance(last, Report)
    assert all(
        isinstance(first, Begun) and second.kind == first.kind
        for first, second in zip(pairs[::2], pairs[1::2], strict=True)
    )  # type: ignore[union-attr]
    assert all(isinstance(event, Drawing | NotDrawn) for event in pairs[1::2])


def test_a_bundle_that_is_held_is_waited_for(tiny: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    from aedeploy.report import write

    held = []
    changing = write.changing
    monkeypatch.setattr(write, "changing", lambda bundle: held.append(bundle) or changing(bundle))
    write_report(tiny, ReportOptions(pictures=()))
    assert held == [tiny]
