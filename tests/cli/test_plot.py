"""``aedeploy plot``: a picture as a file, a sentence for a person, one object for a program."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_bundle import write_tiny_bundle
from typer.testing import CliRunner, Result

from aedeploy.cli.app import app
from aedeploy.pictures import picture_names
from aedeploy.pictures.draw import choices_from, kind_named

Run = Callable[..., Result]

KEYS = ["picture", "kind", "bundle", "reading", "figures", "notes", "failures"]


@pytest.fixture
def plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``aedeploy plot`` in a folder with a bundle in ``artifacts`` and six images of two classes in ``images``."""
    monkeypatch.chdir(tmp_path)
    write_tiny_bundle(Path("artifacts/tiny"))
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
    for at, image in enumerate(pixels):
        folder = Path("images", "ab"[at % 2])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{at}.png")

    def run(*words: Any) -> Result:
        return CliRunner().invoke(app, ["plot", *map(str, words)], env={"NO_COLOR": "1", "COLUMNS": "200"})

    return run


def test_a_picture_has_the_name_of_bundle_and_kind(plot: Run) -> None:
    result = plot("samples", "--data", "images", "--set", "count=12", "--set", "source=mixture")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("tiny-samples.png: Each image is decoded from a draw of a mixture")
    assert "Note: " in result.stdout
    assert result.stderr == "Drawing samples of artifacts/tiny…\n"
    with Image.open("tiny-samples.png") as image:
        assert image.format == "PNG"
        assert image.width == round(160 * 12 * 0.62)  # twelve cells
        assert image.getpixel((0, 0)) == (255, 255, 255, 255)
    assert sorted(path.name for path in Path().iterdir()) == ["artifacts", "images", "tiny-samples.png"]


def test_with_json_it_is_one_object(plot: Run) -> None:
    result = plot("arithmetic", "artifacts/tiny", "--data", "images", "--json", "--quiet", "--theme", "dark")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert list(found) == KEYS
    assert (found["picture"], found["kind"], found["bundle"]) == ("tiny-arithmetic-dark.png", "arithmetic", "tiny")
    assert set(found["figures"]) == {"triples", "nearest_class"}
    assert found["failures"] == []
    with Image.open("tiny-arithmetic-dark.png") as image:
        assert image.getpixel((0, 0)) == (0x0D, 0x11, 0x17, 255)


@pytest.mark.parametrize(("name", "head"), [("a.svg", b"<?xml"), ("deep/a.PDF", b"%PDF")])
def test_the_name_says_which_file_it_is(plot: Run, name: str, head: bytes) -> None:
    Path("deep").mkdir()
    assert plot("samples", "--data", "images", "--out", name).exit_code == 0
    assert Path(name).read_bytes().startswith(head)


def test_the_seed_says_what_is_drawn_at_random(plot: Run) -> None:
    for name, seed in (("one", 0), ("two", 0), ("other", 1)):
        assert plot("samples", "--data", "images", "--seed", seed, "--out", f"{name}.png").exit_code == 0
    one, two, other = (Path(f"{name}.png").read_bytes() for name in ("one", "two", "other"))
    assert one == two != other


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (["samplse"], "UnknownNameError", "There is no picture 'samplse' (did you mean 'samples'?)."),
        (["samples", "--theme", "drak"], "UnknownNameError", "There is no theme 'drak' (did you mean 'dark'?)."),
        (["samples", "--set", "cuont=3"], "ConfigError", "'cuont' is not a known key (did you mean 'count'?)."),
        (["samples", "--set", "count=0"], "ConfigError", "'count' cannot be 0"),
        (["samples", "--set", "count"], "ConfigError", "--set takes KEY=VALUE, such as steps=12: 'count' is not one."),
        (["samples", "--out", "a.gif"], "ConfigError", "a.gif: a picture is written as .png, .svg, .pdf"),
        (["samples", "tiny", "--bundle", "tiny"], "ConfigError", "both name a bundle"),
        (["codebook"], "PictureError", "The model of 'tiny' has no codebook."),
        (["curves"], "PictureError", "Bundle 'tiny' has no history.jsonl"),
        (["interpolation", "--set", "start=a", "--set", "stop=c"], "ConfigError", "stop=c: the classes are a, b;"),
        (["sweep"], "ConfigError", "Which sweep? Name its folder"),
        (["sweep", "images"], "PictureError", "images holds no results.json"),
        (["sweep", "images", "--set", "a=1"], "ConfigError", "'a' is not a known key"),
    ],
)
def test_what_cannot_be_ends_with_2_and_a_sentence(plot: Run, words: list[str], kind: str, said: str) -> None:
    result = plot(*words, "--data", "images", "--json")
    assert result.exit_code == 2, result.output
    error = json.loads(result.stdout)
    assert error["error"]["type"] == kind
    assert said in error["error"]["message"]
    assert error["exit_code"] == 2
    assert not [path for path in Path().iterdir() if path.is_file()]


def test_a_broken_file_is_told_and_the_picture_is_there(plot: Run) -> None:
    Path("images/a/broken.png").write_bytes(b"no image")
    result = plot("latents", "--data", "images", "--json")
    assert result.exit_code == 3, result.output
    found = json.loads(result.stdout)
    assert [failure["path"] for failure in found["failures"]] == ["a/broken.png"]
    assert found["failures"][0]["reason"]
    assert Path("tiny-latents.png").is_file()
    told = plot("latents", "--data", "images")
    assert told.exit_code == 3
    assert "a/broken.png" in told.stdout


def test_at_most_so_many_images_are_looked_at(plot: Run) -> None:
    result = plot("reconstructions", "--data", "images", "--limit", 4, "--json")
    assert json.loads(result.stdout)["figures"]["images"] == 4


def test_a_sweep_is_drawn_of_its_folder(plot: Run) -> None:
    rows = [{"point": "tiny", "values": {"a": at}, "latent": 16, "test": {"mse": 0.1 / at}} for at in (1, 2)]
    Path("sweeps").mkdir()
    written = {"variant": "low-pass", "data": "patterns", "over": {"a": [1, 2]}, "results": rows}
    Path("sweeps/results.json").write_text(json.dumps(written), encoding="utf-8")
    result = plot("sweep", "sweeps", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert list(found) == KEYS
    assert (found["picture"], found["bundle"]) == ("sweeps-sweep.png", "sweeps")
    assert found["figures"]["lines"] == {"low-pass": {"1": 0.1, "2": 0.05}}


def test_without_matplotlib_it_is_said_what_installs_it(plot: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aedeploy.pictures.theme.importlib.util.find_spec", lambda name: None)
    result = plot("samples", "--data", "images")
    assert result.exit_code == 1
    assert "pip install 'aedeploy[pictures]'" in result.stderr


def test_nothing_of_pytorch_is_imported_where_graphs_are_enough(plot: Run) -> None:
    program = (
        "import sys\n"
        "from aedeploy.cli.app import main\n"
        "for kind in ('latents', 'samples', 'traversals', 'activity'):\n"
        "    sys.argv[1:] = ['plot', kind, '--data', 'images', '--quiet']\n"
        "    try: main()\n"
        "    except SystemExit as end: assert not end.code, kind\n"
        "    assert not {'torch', 'onnx', 'matplotlib.pyplot'} & set(sys.modules), kind\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(list(Path().glob("tiny-*.png"))) == 4


def test_every_kind_is_listed_with_what_may_be_chosen() -> None:
    rows = json.loads(CliRunner().invoke(app, ["list", "pictures", "--json"]).stdout)["pictures"]
    assert [row["name"] for row in rows] == picture_names()
    for row in rows:
        fields = kind_named(row["name"]).Choices.model_fields
        assert row["summary"]
        assert row["--set"] == (", ".join(fields) or "–")
        for name, field in fields.items():
            assert f"{name}=" in row["choices"]
            assert str(field.description) in row["choices"]
    text = CliRunner().invoke(app, ["list", "pictures"]).stdout
    assert all(name in text for name in picture_names())


def test_a_choice_that_may_be_text_is_taken_as_it_stands() -> None:
    given = ["start=1.50", "stop = 2024-01-01", "steps=5"]
    assert choices_from("interpolation", given) == {"start": "1.50", "stop": "2024-01-01", "steps": 5}
    assert choices_from("feature-maps", ["layers=[0, '4.body.0']", "image=3"]) == {
        "layers": ["0", "4.body.0"],
        "image": "3",
    }
    assert choices_from("latents", ["method=tsne"]) == {"method": "tsne"}


@pytest.mark.parametrize("option", [["--seed", "1"], ["--backend", "eager"], ["--device", "cuda"], ["--allow-failed"]])
def test_what_a_sweep_has_no_use_for_is_refused(plot: Run, option: list[str]) -> None:
    result = plot("sweep", "sweeps", *option)
    assert result.exit_code == 2
    assert f"{option[0]} does not go with the kind sweep" in result.stderr


def test_the_folder_of_out_is_made(plot: Run) -> None:
    assert plot("samples", "--data", "images", "--set", "source=mixture", "--out", "new/a.svg").exit_code == 0
    assert Path("new/a.svg").is_file()
