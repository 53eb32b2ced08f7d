"""``make gallery``: the exercises of the sources, trained, drawn and answered by measurement.

Trains on the embedded digits what artifacts/gallery does not have yet (no network is needed), exports it as ONNX, and
writes docs/gallery.md with its pictures. A model of the same recipe is not trained again, and a training that was
interrupted goes on where it stopped.

    python benchmarks/gallery.py [--only SECTION]… [--quick]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import gallery_page as page
import numpy as np
from gallery_answers import SWEEP, Models
from gallery_sections import MODELS, QUICK, SECTIONS, Model, Section, Shot
from PIL import Image

from aedeploy.pictures.draw import drawn
from aedeploy.pictures.kinds.sweep import draw_sweep
from aedeploy.pictures.picture import Picture
from aedeploy.pictures.theme import DARK, LIGHT, Theme, drawing
from aedeploy.recipes import load_recipe, recipe_from_dict
from aedeploy.runtime.cores import available_cores
from aedeploy.training.validity import check_recipe

ROOT = Path(__file__).resolve().parents[1]
COMMAND = Path(sys.executable).with_name("aedeploy")
#: Of a recipe; what it says of itself trains nothing.
TABLES = ("model", "corruption", "objective", "training")
THEMES = (LIGHT, DARK)
# Exit codes of aedeploy.
_REFUSED, _GRAPH_IS_WRONG, _INTERRUPTED = 2, 5, 130
_COLOURS = (32, 64, 128, 256)


def main() -> None:
    """Train what is missing, draw, measure, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="SECTION", choices=[each.key for each in SECTIONS])
    parser.add_argument(
        "--quick", action="store_true", help="two sections, an epoch each, into artifacts/gallery-quick"
    )
    parser.add_argument("--out", type=Path, help="where --quick writes")
    asked = parser.parse_args()
    kept, out = ROOT / "artifacts" / "gallery", ROOT / "docs"
    if asked.quick:
        kept = out = asked.out or ROOT / "artifacts" / "gallery-quick"
    wanted = asked.only or (QUICK if asked.quick else [section.key for section in SECTIONS])
    sections = [section for section in SECTIONS if section.key in wanted]
    for name in dict.fromkeys(name for section in sections for name in needed(section)):
        prepare(MODELS[name], kept, ("training.epochs=1",) if asked.quick else ())
    models, done = Models(kept), []
    pictures = out / page.PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    for section in sections:
        _note(section.question)
        for shot in section.shots:
            for theme in THEMES:
                save(draw_shot(shot, models, theme), pictures / page.file_name(shot, theme.name))
        done.append((section, section.answer(models)))
        print(f"{section.question}\n  {done[-1][1]}", flush=True)
    if asked.only and not asked.quick:
        return  # a page of some sections is none
    names = list(dict.fromkeys(name for section in sections for name in needed(section)))
    refused = [name for name in names if models.refused(models[name])]
    page.write_page(out / "gallery.md", done, about(models, names, refused), models=MODELS, eager=refused)
    drawn_now = {page.file_name(shot, theme.name) for section in sections for shot in section.shots for theme in THEMES}
    for path in pictures.glob("*.png"):
        if path.name not in drawn_now:
            path.unlink()


def needed(section: Section) -> list[str]:
    """The models of a section: those of its answer and of its pictures."""
    drawn_of = [shot.model for shot in section.shots if shot.model != SWEEP]
    return list(dict.fromkeys([*section.models, *drawn_of]))


def prepare(model: Model, folder: Path, quick: tuple[str, ...]) -> None:
    """Train and export a model, unless that is done."""
    bundle = folder / model.name
    overrides = (*model.overrides, *quick)
    if not same_recipe(bundle, model.recipe, overrides):
        _note(f"{model.name}: training …")
        train(model, bundle, overrides)
    if not _manifest(bundle).get("graphs"):
        _note(f"{model.name}: exporting …")
        exported = _aedeploy("export", bundle, "--format=onnx")
        if exported == _GRAPH_IS_WRONG:
            _note(f"{model.name}: its graphs are refused, PyTorch draws it instead")
        elif exported:
            sys.exit(f"{model.name} could not be exported.")


def train(model: Model, bundle: Path, overrides: tuple[str, ...]) -> None:
    """Train a model alone, or with it the whole sweep that it is a point of."""
    if model.name.startswith(f"{SWEEP}/"):
        sizes = ",".join(name.rpartition("-")[2] for name in MODELS if name.startswith(f"{SWEEP}/"))
        shared = [override for override in overrides if override not in model.overrides]
        options = [f"--variant={model.recipe}", f"--over=model.latent_dim={sizes}", f"--out={bundle.parent}"]
        options += [f"--set={override}" for override in shared]
        code = _aedeploy("sweep", *options)
        if code == _REFUSED and bundle.parent.is_dir():  # begun with another recipe
            shutil.rmtree(bundle.parent)
            code = _aedeploy("sweep", *options)
        _check(code)
        return
    options = [f"--variant={model.recipe}", f"--out={bundle}", "--device=cpu"]
    options += [f"--set={override}" for override in overrides]
    code = _REFUSED
    if (bundle / "checkpoint.safetensors").is_file():
        code = _aedeploy("train", *options, "--resume")
    if code == _REFUSED:  # nothing there, or begun with another recipe
        code = _aedeploy("train", *options, "--overwrite")
    _check(code)


def same_recipe(bundle: Path, recipe: str, overrides: tuple[str, ...]) -> bool:
    """Whether a folder holds what such a training gives, to its last epoch."""
    manifest = _manifest(bundle)
    if not manifest or manifest["provenance"]["seed"] != 0 or manifest["provenance"]["data"]["name"] != "digits":
        return False
    wanted = check_recipe(load_recipe(recipe, overrides)).recipe.as_dict()
    # With what has become a setting since written out, as its default.
    found = check_recipe(recipe_from_dict(manifest["recipe"])).recipe.as_dict()
    return manifest["metrics"].get("epochs") == epochs_of(wanted["training"]["method"], wanted) and all(
        json.dumps(found[table]) == json.dumps(wanted[table]) for table in TABLES
    )


def epochs_of(method: dict[str, Any], recipe: dict[str, Any]) -> int:
    """All epochs of a training: a greedy one has some for each layer beside those of fine-tuning."""
    layers = len(recipe["model"]["backbone"]["hidden"]) + 1 if method["name"] == "greedy" else 0
    return int(recipe["training"]["epochs"] + layers * method.get("layer_epochs", 0))


def draw_shot(shot: Shot, models: Models, theme: Theme) -> Picture:
    if shot.kind == "sweep":
        with drawing(theme):
            return draw_sweep(models.folder / shot.model, theme)
    choices = dict(shot.choices)
    if "against" in choices:
        choices["against"] = str(models.folder / choices["against"])
    return drawn(shot.kind, models[shot.model], choices, theme)


def save(picture: Picture, path: Path) -> None:
    """As a PNG of the fewest colours that do not show: 99.9 % of the pixels within 8 of 255, the page's own exact."""
    picture.save(path)
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    for colours in _COLOURS:
        fewer = quantised(image, colours)
        if colours == _COLOURS[-1] or close(image, fewer.convert("RGB")):
            fewer.save(path, optimize=True)
            return


def quantised(image: Image.Image, colours: int) -> Image.Image:
    """An image with a palette, in which the colour of its upper left corner, the page's, is as it was."""
    fewer = image.quantize(colours, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    palette, corner = fewer.getpalette() or [], fewer.getpixel((0, 0))
    assert isinstance(corner, int)
    palette[3 * corner : 3 * corner + 3] = image.getpixel((0, 0))
    fewer.putpalette(palette)
    return fewer


def close(image: Image.Image, other: Image.Image) -> bool:
    """Whether hardly a pixel differs to the eye."""
    off = np.abs(np.asarray(image, np.int16) - np.asarray(other, np.int16)).max(axis=2)
    return bool((off > 8).mean() < 0.001)


def about(models: Models, names: list[str], refused: list[str]) -> list[str]:
    """How long it took, with what, and what was refused."""
    seconds = sum(epoch["seconds"] for name in names for epoch in models[name].history())
    packages = models[names[0]].manifest.provenance.packages
    versions = ", ".join(f"{package} {version}" for package, version in packages.items())
    said = [
        f"`make gallery` trains what `artifacts/gallery` does not have yet, {len(names)} models in all, and then draws "
        "and measures; interrupted, it goes on where it stopped. The steps of training took "
        f"{seconds / 60:.0f} minutes on {available_cores()} cores, with {versions}."
    ]
    said += [
        f"The ONNX graphs of `{name}` did not pass their proof against PyTorch (`aedeploy parity "
        f"artifacts/gallery/{name}`), so they are refused here as everywhere: its figures and pictures are made by "
        "PyTorch from its weights."
        for name in refused
    ]
    return said


def _manifest(bundle: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def _aedeploy(*arguments: str | Path) -> int:
    """Run a command; gives its exit code, and ends with it where it was interrupted."""
    code = subprocess.run([str(part) for part in (COMMAND, *arguments, "--quiet")], stdout=sys.stderr).returncode
    if code == _INTERRUPTED or code < 0:
        sys.exit(_INTERRUPTED)
    return code


def _check(code: int) -> None:
    if code:
        sys.exit(code)


def _note(said: str) -> None:
    print(said, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
