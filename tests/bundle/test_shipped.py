"""The bundles that come with the package: there, small, whole, and left as they are."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import aedeploy
from aedeploy.bundle import Bundle, shipped
from aedeploy.bundle.card import card, kept_in
from aedeploy.bundle.locate import find_bundle, newest_bundle
from aedeploy.bundle.shipped import COLOUR, GREY, is_shipped, shipped_bundle, shipped_names, shipped_path
from aedeploy.bundle.store import changing, require_changeable
from aedeploy.cli.app import app
from aedeploy.cli.bench import _folder as report_folder
from aedeploy.errors import BundleError, UnknownNameError
from aedeploy.export import export_bundle
from aedeploy.parity.verify import verify_bundle

ROOT = Path(__file__).resolve().parents[2]

#: Bytes, of each.
MOST = 2_000_000

#: Sections of figures: benchmarks/ship_card.py leaves them out where what was measured is of other weights.
MEASURED = ("PSNR and SSIM", "σ estimated", "A clean image comes back", "Speed", "Memory")


@pytest.fixture(params=[GREY, COLOUR])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return shipped_bundle(request.param)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of bundles as a wheel has it, with the grey one alone; there is no checkout around it."""
    folder = tmp_path / "site-packages/aedeploy/bundles"
    found = shipped_path(GREY)
    assert found is not None
    shutil.copytree(found, folder / GREY)
    monkeypatch.setattr(shipped, "INSTALLED", folder)
    monkeypatch.setattr("aedeploy.bundle.store.INSTALLED", folder)
    monkeypatch.setattr(shipped, "_CHECKOUT", tmp_path / "artifacts")
    return folder


def test_they_are_small_whole_and_of_the_right_colours(bundle: Bundle) -> None:
    assert sum(path.stat().st_size for path in bundle.path.rglob("*") if path.is_file()) <= MOST
    assert bundle.name == bundle.path.name
    assert bundle.manifest.image.mode == ("L" if bundle.name == GREY else "RGB")
    assert bundle.manifest.denoises
    assert bundle.manifest.noise is not None
    assert bundle.manifest.image.dynamic_size
    assert bundle.manifest.any_size is not None
    assert bundle.manifest.any_size.radius is not None
    assert all(graph.parity == "passed" for graph in bundle.manifest.graphs)
    assert bundle.manifest.graph("autoencoder", "onnx") is not None
    assert verify_bundle(bundle)


def test_the_card_says_what_it_is_for_what_not_and_what_it_was_trained_on(bundle: Bundle) -> None:
    text = (bundle.path / "README.md").read_text(encoding="utf-8")
    kept = kept_in(text)
    assert text == card(bundle.manifest, kept)
    for section in ("What it is for", "What it is not for", "What it was trained on"):
        assert f"## {section}\n" in kept
    data = bundle.manifest.provenance.data
    assert data is not None
    assert f"{len(data.files)} photographs" in kept
    for name in ("bsd68", "set12", "kodim", "train400", "exif-org__"):
        assert not [file for file in data.files if name in file.lower()]


def test_the_card_has_every_figure(bundle: Bundle) -> None:
    kept = kept_in((bundle.path / "README.md").read_text(encoding="utf-8")).splitlines()
    assert [section for section in MEASURED if f"## {section}" not in kept] == []


def test_they_name_no_path_of_the_machine_that_made_them(bundle: Bundle) -> None:
    for name in ("bundle.json", "README.md", "parity.json"):
        text = (bundle.path / name).read_text(encoding="utf-8")
        assert not any(
            root in text for root in (str(ROOT), tempfile.gettempdir(), "/root/", "/home/", "/Users/", "../")
        ), name


def test_git_takes_the_bundle_and_not_the_checkpoint() -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is no checkout of git")
    wanted = {f"artifacts/{name}/{file}" for name in shipped_names() for file in ("bundle.json", "graphs/onnx/x.onnx")}
    unwanted = {f"artifacts/{name}/checkpoint.safetensors" for name in shipped_names()} | {"artifacts/own/bundle.json"}
    command = ["git", "check-ignore", "--no-index", *sorted(wanted | unwanted)]
    ignored = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    assert set(ignored) == unwanted


def test_the_name_finds_it_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_bundle(COLOUR).path == shipped_path(COLOUR)
    assert aedeploy.load(GREY).bundle.manifest.image.channels == 1


def test_one_of_ones_own_of_that_name_goes_first(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(bundle.path, tmp_path / "artifacts" / bundle.name)
    assert find_bundle(bundle.name).path == Path("artifacts") / bundle.name
    shutil.copytree(bundle.path, tmp_path / bundle.name)
    assert find_bundle(bundle.name).path == Path(bundle.name)


def test_none_is_meant_unless_it_is_named(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BundleError, match="There is no bundle in"):
        newest_bundle(_linked(bundle, tmp_path / "artifacts"))
    copy = shutil.copytree(bundle.path, tmp_path / "artifacts" / "a-copy")
    assert newest_bundle(tmp_path / "artifacts").path == copy


def _linked(bundle: Bundle, folder: Path) -> Path:
    folder.mkdir()
    (folder / bundle.name).symlink_to(bundle.path, target_is_directory=True)
    return folder


def test_those_of_a_wheel_go_before_a_checkout(installed: Path) -> None:
    assert shipped_path(GREY) == installed / GREY
    assert is_shipped(installed / GREY)
    assert not is_shipped(installed)


def test_an_installation_without_them_says_so(installed: Path) -> None:
    with pytest.raises(BundleError, match=r"came without its bundle 'denoiser-color': install it again, or name"):
        shipped_bundle(COLOUR)
    with pytest.raises(UnknownNameError, match=r"denoiser-colour.*did you mean 'denoiser-color'"):
        shipped_bundle("denoiser-colour")


def test_an_installed_one_is_not_changed(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bundle = shipped_bundle(GREY)
    copy = "cp -r .*/bundles/denoiser-gray artifacts/"
    with pytest.raises(BundleError, match=f"came with the package, and is left as it is: copy it first, by  {copy}"):
        require_changeable(bundle)
    with pytest.raises(BundleError, match="is left as it is"), changing(bundle):
        pass
    with pytest.raises(BundleError, match="is left as it is"):
        export_bundle(bundle, ["onnx"])
    result = CliRunner().invoke(app, ["parity", GREY])
    assert result.exit_code == 1
    assert "is left as it is" in result.output
    own = shutil.copytree(installed / GREY, installed.parent / "own")
    require_changeable(aedeploy.open_bundle(own))


def test_what_is_measured_of_an_installed_one_goes_where_one_is(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert report_folder(shipped_bundle(GREY), None) == tmp_path / f"{GREY}-bench"
    assert [path.name for path in installed.iterdir()] == [GREY]


def test_nothing_is_written_into_one_that_is_used(installed: Path, tmp_path: Path) -> None:
    before = _state(installed)
    for path in (installed, *installed.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        bundle = shipped_bundle(GREY)
        assert verify_bundle(bundle)
        noisy = np.random.default_rng(0).integers(0, 255, (40, 24, 1), np.uint8)
        Image.fromarray(noisy[:, :, 0]).save(tmp_path / "noisy.png")
        with aedeploy.load(bundle) as codec:
            assert codec.denoise_image(tmp_path / "noisy.png").shape == noisy.shape
        assert _state(installed) == before
    finally:
        installed.chmod(0o755)
        for path in installed.rglob("*"):
            path.chmod(0o755)


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder below one: its bytes and when it was changed, in ns."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in (folder, *folder.rglob("*"))
    }
