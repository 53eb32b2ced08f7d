"""What is written for the page: its scripts, the engine that it loads, the codebook, and the points of the map."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embed.web_browser import RUNTIME
from PIL import Image
from safetensors.numpy import load_file
from tiny_bundle import write_tiny_bundle

import aedeploy
from aedeploy.bundle import Bundle, open_bundle
from aedeploy.data import digits
from aedeploy.data.digest import PixelDigest
from aedeploy.data.idx import read_idx_images
from aedeploy.embed import write_program
from aedeploy.embed.targets import _onnxruntime_web, _points
from aedeploy.errors import AedeployError, ConfigError, IntegrityError

TSC = RUNTIME.parents[1] / ".bin" / "tsc"

ENGINE = (
    "ort.wasm.bundle.min.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.bundle.min.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A folder with files of the engine's names: what is written here is not run."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    for name in ENGINE:
        (folder / name).write_bytes(name.encode())
    (folder / ENGINE[0]).write_bytes(b"run()\n//# sourceMappingURL=ort.wasm.bundle.min.mjs.map")
    return folder


@pytest.fixture
def page(runtime: Path, tmp_path: Path) -> Path:
    return write(write_tiny_bundle(tmp_path / "tiny"), tmp_path / "page", runtime=runtime)


def write(bundle: Bundle, folder: Path, **options: Any) -> Path:
    return write_program("web", bundle, folder, options=options).folder


def contract_of(page: Path) -> Any:
    _, _, text = (page / "js" / "contract.js").read_text().partition("export const contract = ")
    return json.loads(text.rstrip().rstrip(";"))


def content_of(page: Path, record: dict[str, Any]) -> bytes:
    """A file of the contract, which is the one that it says."""
    content = (page / record["file"]).read_bytes()
    assert len(content) == record["bytes"]
    assert hashlib.sha256(content).hexdigest() == record["sha256"]
    return content


def test_what_the_page_may_load(page: Path) -> None:
    html = (page / "index.html").read_text()
    assert "default-src 'none'" in html
    assert "unsafe-inline" not in html
    assert not re.search(r"<style|style=|<script>|onclick", html)
    scripts = {path.relative_to(page).as_posix() for path in (page / "js").rglob("*.js")}
    loaded = set(re.findall(r'(?:href|src)="(js/[^"]+)"', html))
    assert loaded == scripts
    for path in (*page.glob("css/*"), *page.rglob("js/**/*.js"), page / "index.html"):
        assert not re.search(r"https?://\w", path.read_text()), path


@pytest.mark.skipif(not TSC.exists(), reason="the npm package typescript is not in .tools (make embed-tools)")
def test_the_strict_types_of_its_code(page: Path, tmp_path: Path) -> None:
    options = {
        **dict.fromkeys(("allowJs", "checkJs", "noEmit", "strict", "skipLibCheck", "verbatimModuleSyntax"), True),
        **dict.fromkeys(("exactOptionalPropertyTypes", "noFallthroughCasesInSwitch", "noImplicitReturns"), True),
        **dict.fromkeys(("noPropertyAccessFromIndexSignature", "noUnusedLocals", "noUnusedParameters"), True),
        "module": "esnext",
        "moduleResolution": "bundler",
        "target": "es2023",
        "lib": ["es2023", "dom", "dom.iterable"],
        "types": [],
    }
    project = tmp_path / "tsconfig.json"
    project.write_text(json.dumps({"compilerOptions": options, "include": [str(page / "js")]}))
    checked = subprocess.run([TSC, "-p", project], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_the_engine_is_what_was_named_and_no_more(page: Path) -> None:
    found = {path.name: path.read_bytes() for path in (page / "vendor" / "onnxruntime-web").iterdir()}
    assert b"Microsoft" in found.pop("LICENSE")
    # Servers that do not know .mjs would send it as something that is not run.
    assert set(found) == {name.replace(".mjs", ".js") for name in ENGINE}
    assert found["ort.wasm.bundle.min.js"] == b"run()\n"
    assert found["ort-wasm-simd-threaded.wasm"] == ENGINE[1].encode()


def test_a_folder_without_the_engine(runtime: Path, tmp_path: Path) -> None:
    (runtime / ENGINE[3]).unlink()
    bundle = write_tiny_bundle(tmp_path / "tiny")
    with pytest.raises(ConfigError, match=r"runtime has no ort-wasm-simd-threaded\.asyncify\.wasm: name the folder"):
        write(bundle, tmp_path / "page", runtime=runtime)
    assert not (tmp_path / "page").exists()


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An npm that can be told what to do, and a cache that is empty."""
    path = tmp_path / "bin" / "npm"
    path.parent.mkdir()
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return path


def script(path: Path, lines: str) -> None:
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)


def package(path: Path) -> str:
    """A package of the engine, and its integrity as npm writes it."""
    with tarfile.open(path, "w:gz") as archive:
        for name in (*(f"package/dist/{name}" for name in ENGINE), "package/dist/ort.all.js", "../escaped"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"code"))
    return base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def test_npm_fetches_the_engine_once(npm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    integrity = package(tmp_path / "package.tgz")
    monkeypatch.setattr(_onnxruntime_web, "_INTEGRITY", integrity)
    script(npm, f'echo "$@" >> {tmp_path}/calls; cp {tmp_path}/package.tgz "$5/fetched.tgz"')
    bundle = write_tiny_bundle(tmp_path / "tiny")
    said: list[str] = []
    for name in ("one", "two"):
        written = write_program("web", bundle, tmp_path / name, say=said.append)
        assert sum(path.startswith("vendor/") for path in written.files) == 1 + len(ENGINE)
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert call.startswith("pack onnxruntime-web@1.30.0 --ignore-scripts --pack-destination ")
    assert len(said) == 1
    assert said[0].startswith("Fetching onnxruntime-web 1.30.0 by npm, once, into ")
    assert not (tmp_path.parent / "escaped").exists()
    # What was altered in the cache is fetched again.
    (cached,) = (tmp_path / "cache" / "aedeploy").iterdir()
    cached.write_bytes(b"altered")
    write_program("web", bundle, tmp_path / "three")
    assert len((tmp_path / "calls").read_text().splitlines()) == 2


def test_npm_fetches_something_else(npm: Path, tmp_path: Path) -> None:
    package(tmp_path / "package.tgz")
    script(npm, f'cp {tmp_path}/package.tgz "$5/fetched.tgz"')
    with pytest.raises(IntegrityError, match="is another file than was tested"):
        write(write_tiny_bundle(tmp_path / "tiny"), tmp_path / "page")
    assert not list((tmp_path / "cache").rglob("*.tgz"))


def test_npm_fails_or_is_not_there(npm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny")
    script(npm, "echo 'npm error code ENOTFOUND' >&2; exit 1")
    with pytest.raises(
        AedeployError, match=r"npm could not fetch onnxruntime-web 1\.30\.0 \(npm error code ENOTFOUND\)"
    ):
        write(bundle, tmp_path / "page")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AedeployError, match=r"which is not installed: install npm, or name a folder .* by --runtime"):
        write(bundle, tmp_path / "page")


def test_the_table_of_learned_codes(bundles: dict[str, Bundle], runtime: Path, tmp_path: Path) -> None:
    page = write(bundles["vq"], tmp_path / "page", runtime=runtime)
    table = np.frombuffer(content_of(page, contract_of(page)["codebook"]), "<f4").reshape(128, 16)
    golden = load_file(page / "model" / "golden.safetensors")
    assert np.allclose(table[golden["encoder/3/indices"]].transpose(0, 3, 1, 2), golden["encoder/3/latent"], atol=1e-6)


def test_the_levels_of_a_scalar_quantisation(bundles: dict[str, Bundle], runtime: Path, tmp_path: Path) -> None:
    contract = contract_of(write(bundles["fsq"], tmp_path / "page", runtime=runtime))
    assert np.prod(contract["codebook"]["levels"]) == contract["latent"]["codebook_size"]


def test_models_without_codes_or_map(page: Path) -> None:
    contract = contract_of(page)
    assert contract["codebook"] is None
    assert contract["points"] is None


def trained_on(bundle: Bundle, folder: Path, digest: str) -> Bundle:
    """A copy of a bundle that says what it was trained on."""
    copied = open_bundle(shutil.copytree(bundle.path, folder))
    provenance = copied.manifest.provenance
    assert provenance.data is not None
    changed = provenance.model_copy(update={"data": provenance.data.model_copy(update={"digest": digest})})
    return copied.save(copied.manifest.model_copy(update={"provenance": changed}))


def digest_of_digits() -> str:
    digest = PixelDigest((1, 28, 28))
    digest.update(digits().train)
    digest.update(digits().held_out)
    return digest.hexdigest()


@pytest.mark.parametrize(
    ("digest", "about"),
    [
        (digest_of_digits(), "The points are 1,000 digits that it was trained on."),
        (_points._MNIST, "The points are 1,000 digits of MNIST's test set, which it was not shown."),
    ],
    ids=["digits", "mnist"],
)
def test_digits_are_points(digest: str, about: str, bundles: dict[str, Bundle], runtime: Path, tmp_path: Path) -> None:
    bundle = trained_on(bundles["mlp-2d"], tmp_path / "bundle", digest)
    page = write(bundle, tmp_path / "page", runtime=runtime)
    record = contract_of(page)["points"]
    assert record["about"] == about
    found = json.loads(content_of(page, record))
    assert found["labels"] == list("0123456789")
    assert len(found["points"]) == 1000
    labels = gzip.decompress((Path(aedeploy.__file__).parent / "data" / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:]
    held_out = set(range(5, 10000, 10))
    shown = [at for at in range(10000) if "MNIST" in about or at not in held_out]
    first = shown[len(shown) // 2000]
    x, y, label = found["points"][0]
    assert label == labels[first]
    image = read_idx_images(Path(aedeploy.__file__).parent / "data" / "t10k-images-idx3-ubyte.gz")[first]
    assert np.allclose(aedeploy.load(bundle).encode(image[np.newaxis])[0], [x, y], atol=1e-4)


def test_one_broken_image_of_a_folder_is_left_out_and_all_are_refused(
    bundles: dict[str, Bundle], runtime: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "some"
    folder.mkdir()
    (folder / "broken.png").write_bytes(b"no image")
    command = [sys.executable, "-m", "aedeploy", "embed", "web", str(bundles["mlp-2d"].path), "--out"]
    options = ["--samples", str(folder), "--runtime", str(runtime)]
    refused = subprocess.run([*command, str(tmp_path / "page"), *options], capture_output=True, text=True)
    assert (refused.returncode, (tmp_path / "page").exists()) == (4, False)
    assert "none of its files can be read" in refused.stderr
    Image.fromarray(np.full((9, 9), 90, np.uint8)).save(folder / "well.png")
    written = subprocess.run([*command, str(tmp_path / "page"), *options], capture_output=True, text=True)
    assert written.returncode == 0, written.stderr
    assert "Left out, for they cannot be read: 1 of them, such as broken.png" in written.stderr
    assert len(json.loads(content_of(tmp_path / "page", contract_of(tmp_path / "page")["points"]))["points"]) == 1


def test_images_of_a_folder_are_points(bundles: dict[str, Bundle], runtime: Path, tmp_path: Path) -> None:
    folder = tmp_path / "animals"
    for at, name in enumerate(("cat/a.png", "dog/b.png", "dog/c.jpg", "d.png")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((9, 9), 60 * at, np.uint8)).save(folder / name)
    page = write(bundles["mlp-2d"], tmp_path / "page", runtime=runtime, samples=folder)
    record = contract_of(page)["points"]
    found = json.loads(content_of(page, record))
    assert found["labels"] == ["cat", "dog"]
    assert [label for *_, label in found["points"]] == [0, None, 1, 1]
    want = aedeploy.load(bundles["mlp-2d"]).encode([folder / "cat" / "a.png"])[0]
    assert np.allclose(found["points"][0][:2], want, atol=1e-4)
    assert record["about"] == "The points are images of animals."


def test_points_of_a_model_without_a_map(runtime: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the map of a latent of two numbers; this one has 16\."):
        write(write_tiny_bundle(tmp_path / "tiny"), tmp_path / "page", runtime=runtime, samples=tmp_path)
