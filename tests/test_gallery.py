"""The gallery: its measures on inputs whose answer is known, its words, and its page.

What it says must follow from the figures: a sentence that says the opposite of other figures is tested for each.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("scipy")

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
measure: Any = importlib.import_module("gallery_measures")
say: Any = importlib.import_module("gallery_says")
sections: Any = importlib.import_module("gallery_sections")
page: Any = importlib.import_module("gallery_page")
gallery: Any = importlib.import_module("gallery")

PAGE = ROOT / "docs" / "gallery.md"


def random() -> np.random.Generator:
    return np.random.default_rng(0)


class TestMeasures:
    def test_two_blobs_have_a_gap_between_them_and_one_has_none(self) -> None:
        labels = np.repeat(["left", "right"], 300)
        heap = random().standard_normal((600, 2))
        apart = heap + np.where(labels == "left", -20.0, 20.0)[:, None] * [1.0, 0.0]
        crossed, places = measure.crossings(apart, labels)
        assert crossed["left", "right"] == 1.0
        assert np.abs(places[:, 0]).max() < 25.0
        assert measure.crossings(heap, labels)[0]["left", "right"] < 0.2
        assert measure.heap_crossings(300, draws=2) < 0.3

    def test_a_place_is_empty_where_no_latent_is_near_whatever_the_scale(self) -> None:
        latents = random().uniform(-1, 1, (500, 2)) * [1.0, 1000.0]
        assert not measure.empty(latents, latents).any()
        assert measure.empty(latents, latents + np.array([10.0, 0.0])).all()

    def test_a_straight_path_is_even_and_a_jump_is_not(self) -> None:
        def fading(latents: np.ndarray) -> np.ndarray:
            brightness = latents.sum(axis=1)[:, None, None, None] * np.ones((1, 4, 4, 1))
            return np.clip(brightness, 0, 255).astype(np.uint8)

        def jumping(latents: np.ndarray) -> np.ndarray:
            return np.where(fading(latents) > 90, 255, 0).astype(np.uint8)

        latents = np.array([[0.0, 0.0], [250.0, 0.0]])
        pairs = np.array([[0, 1]])
        assert measure.strips(fading, latents, pairs) == pytest.approx([1.0])
        assert measure.strips(jumping, latents, pairs) == pytest.approx([10.0])
        spread = random().uniform(0, 125, (400, 2))
        assert measure.unevenness(fading, spread) < 1.5 < measure.unevenness(lambda z: fading(z**2 / 125), spread)

    def test_pairs_are_of_different_labels(self) -> None:
        labels = np.array(["a", "b", "c"] * 30)
        pairs = measure.different_pairs(labels, 50)
        assert len(pairs) == 50
        assert (labels[pairs[:, 0]] != labels[pairs[:, 1]]).all()

    def test_a_checkerboard_has_the_energy_of_its_stride(self) -> None:
        board = np.indices((28, 28)).sum(axis=0) % 2
        images = np.tile((255 * board).astype(np.uint8)[None, :, :, None], (3, 1, 1, 1))
        assert measure.stride_energy(images) == pytest.approx(1.0)
        assert measure.stride_energy(np.full((3, 28, 28, 1), 90, np.uint8)) == 0.0
        wide = np.repeat(np.repeat(images, 2, axis=1), 2, axis=2)
        assert measure.stride_energy(wide) == pytest.approx(0.0)
        assert measure.stride_energy(wide, stride=4) == pytest.approx(1.0)
        # As the docstring says, it is that of the mean image at the frequencies of the stride.
        noise = random().integers(0, 256, (5, 28, 28, 1)).astype(np.uint8)
        spectrum = np.abs(np.fft.fft2(noise[..., 0].astype(float).mean(axis=0)))
        energy = spectrum[14, 0] ** 2 + spectrum[0, 14] ** 2 + spectrum[14, 14] ** 2
        assert measure.stride_energy(noise) == pytest.approx(np.sqrt(energy) / spectrum[0, 0])

    def test_filters_that_add_up_and_filters_of_edges(self) -> None:
        edge = np.array([[1.0, -1.0], [1.0, -1.0]])
        assert measure.evenness(np.stack([np.ones((2, 2)), edge])[..., None]).tolist() == [1.0, 0.0]

    def test_images_are_like_one_class_where_their_neighbours_agree(self) -> None:
        pixels = np.concatenate([np.full((20, 2, 2, 1), 0, np.uint8), np.full((20, 2, 2, 1), 200, np.uint8)])
        real = measure.RealImages(pixels, np.repeat([0, 1], 20))
        assert real.clear(pixels) == 1.0
        mixed = measure.RealImages(pixels, np.tile([0, 1], 20))
        assert mixed.clear(pixels) < 1.0
        assert np.isnan(real.clear(pixels[:0]))

    def test_arithmetic_holds_where_classes_are_far_apart_and_within_noise_it_does_not(self) -> None:
        labels = np.repeat(["a", "b", "c"], 50)
        centres = np.repeat(np.eye(3) * 100.0, 50, axis=0)
        noise = random().standard_normal((150, 3))
        assert measure.same_class(centres + noise, labels, 300) == (1.0, 1.0)
        summed, own = measure.same_class(noise, labels, 300)
        assert summed < 0.6
        assert own < 0.6

    def test_factors_of_a_drawing(self) -> None:
        upright, leaning, wide = np.zeros((3, 28, 28, 1), np.uint8)
        upright[6:22, 13:15] = 255
        wide[13:15, 6:22] = 255
        for row in range(6, 22):
            leaning[row, 24 - row] = 255  # to the right for each pixel up
        found = measure.shape_factors(np.stack([upright, leaning, wide]))
        assert found["slant"][0] == pytest.approx(0.0, abs=1e-6)
        assert found["slant"][1] == pytest.approx(1.0, abs=1e-6)
        assert found["width"][2] > found["width"][0]
        assert found["height"][0] > found["height"][2]
        assert found["ink"][0] == pytest.approx(found["ink"][2])

    def test_rank_correlation(self) -> None:
        values = random().standard_normal(50)
        assert measure.rank_correlation(values, np.exp(values)) == pytest.approx(1.0)
        assert measure.rank_correlation(values, -(values**3)) == pytest.approx(-1.0)
        assert measure.rank_correlation(values, np.zeros(50)) == 0.0


FEW = {"a": 0.1, "b": 0.1}

# A function, and two sets of figures with what each must say.
WORDS: list[tuple[str, tuple[Any, ...], str, tuple[Any, ...], str]] = [
    (
        "latent_size",
        ({2: 0.05, 4: 0.03, 8: 0.029}, {2: 0.06, 4: 0.04, 8: 0.02}),
        r"Yes, up to 4 numbers.*Up to 4 the network beats PCA.*from 8 on PCA is better",
        ({2: 0.05, 4: 0.049, 8: 0.048}, {2: 0.06, 4: 0.06, 8: 0.06}),
        r"Hardly.*PCA of the same size is worse everywhere",
    ),
    (
        "latent_size",
        ({2: 0.05, 4: 0.03, 8: 0.02}, {2: 0.01, 4: 0.01, 8: 0.01}),
        r"take off 40 and 33 %.*better everywhere",
        ({2: 0.05, 4: 0.03, 8: 0.02}, {2: 0.01, 4: 0.04, 8: 0.03}),
        r"better with 2 numbers",
    ),
    (
        "gaps",
        ({"a": 0.4}, {"v": 0.05}, 0.05, {"a": ("0", "1", 0.9)}, {"a": 0.2}, {"a": 0.8}),
        r"Yes, and the KL closes them.*less often than",
        ({"a": 0.05}, {"v": 0.05}, 0.05, {"a": ("0", "1", 0.1)}, {"a": 0.8}, {"a": 0.8}),
        r"No, in none.*as often as",
    ),
    (
        "gaps",
        ({"a": 0.4}, {"v": 0.4}, 0.05, {"a": ("0", "1", 0.9)}, {"a": 0.9}, {"a": 0.8}),
        r"does not close them.*more often than",
        ({"a": 0.05}, {"v": 0.4}, 0.05, {"a": ("0", "1", 0.9)}, {"a": 0.9}, {"a": 0.8}),
        r"Only in the variational map",
    ),
    ("centred", ({"a": 0.1, "b": 3.0},), r"map of `a`", ({"a": 0.9, "b": 0.2},), r"map of `b`"),
    (
        "smooth",
        ({"a": 1.8, "v": 1.1}, {"a": 3.0, "v": 1.4}, "v"),
        r"\*\*Yes:\*\* clearly smoother than `a`",
        ({"a": 1.1, "v": 1.1}, {"a": 3.0, "v": 1.4}, "v"),
        r"Not clearly more than without a KL",
    ),
    (
        "no_prior",
        ("s", "v", {"s": 0.001, "v": 0.2}, {"s": 0.5, "v": 0.05}, {"s": 0.3, "v": 0.6}),
        r"\*\*No\.\*\*.*hardly more than the mean",
        ("s", "v", {"s": 0.3, "v": 0.2}, {"s": 0.05, "v": 0.05}, {"s": 0.6, "v": 0.6}),
        r"\*\*Yes\.\*\*.*has not shrunk",
    ),
    (
        "no_prior",
        ("s", "v", {"s": 0.001, "v": 0.2}, {"s": 0.5, "v": 0.05}, {"s": 0.6, "v": 0.6}),
        r"samples do not show it",
        ("s", "v", {"s": 0.001, "v": 0.2}, {"s": 0.05, "v": 0.05}, {"s": 0.6, "v": 0.6}),
        r"By accident",
    ),
    (
        "convolutions",
        ("m", [28, 3], 4, 12, 16, 0, 64),
        r"mostly edges.*28×28 to 3×3.*none is unused",
        ("m", [28, 7], 12, 4, 16, 3, 64),
        r"mostly where there is ink.*28×28 to 7×7.*3 never vary",
    ),
    ("larger_latent", ("m", 0.25, 0.1, 2, 16), r"larger than the image, 4", ("m", 8.0, 0.1, 2, 16), r"smaller.*, 8"),
    (
        "checkerboard",
        ({"t": 0.05, "u": 0.001}, ["t"], "u", 0.001),
        r"Yes, in `t`.*50 times",
        ({"t": 0.001, "u": 0.001}, ["t"], "u", 0.001),
        r"Hardly a trace",
    ),
    (
        "relu_latent",
        ({"r": 9}, 64, {"r": 0.03, "l": 0.01}, "l", 0.02),
        r"\*\*Yes:\*\* 9 of 64.*better than `r`\.$",
        ({"r": 9}, 64, {"r": 0.01, "l": 0.01}, "l", 0.02),
        r"\*\*Hardly:\*\*.*all are better than PCA",
    ),
    (
        "relu_latent",
        ({"r": 9}, 64, {"r": 0.031, "l": 0.03}, "l", 0.01),
        r"the ReLU is not the main reason",
        ({"r": 9}, 64, {"r": 0.01, "l": 0.03}, "l", 0.02),
        r"\*\*No:\*\*",
    ),
    (
        "sparsity",
        ({"a": 24, "b": 48}, {"a": 10, "b": 100}, FEW, 256),
        r"24 \(`a`\) to 48 \(`b`\).*do nothing in `b`",
        ({"a": 90, "b": 48}, {"a": 10, "b": 10}, FEW, 256),
        r"48 \(`b`\) to 90 \(`a`\).*In none of them",
    ),
    (
        "contraction",
        ({"w": 1.0, "o": 4.0}, {"w": 10, "o": 90}, {"w": 0.02, "o": 0.01}, "w", "o"),
        r"\*\*Yes:\*\*.*4\.0 times.*Fewer directions.*2\.0 times",
        ({"w": 4.0, "o": 1.0}, {"w": 90, "o": 10}, {"w": 0.02, "o": 0.01}, "w", "o"),
        r"\*\*No:\*\*.*No fewer",
    ),
    (
        "codebook",
        ({"a": 128}, {"a": 128}, {"a": 30.0}, FEW),
        r"but not evenly",
        ({"a": 20}, {"a": 128}, {"a": 15.0}, FEW),
        r"Not all of it",
    ),
    ("arithmetic", ({"a": 0.9}, {"a": 0.95}), r"Mostly", ({"a": 0.2}, {"a": 0.95}), r"Hardly"),
    (
        "failures",
        ({"0": 1.5, "1": 0.3, "2": 1.2}, {"ink": 0.1, "width": 0.6}, 3.0, "m"),
        r"At 0 and 2.*more width \(rank correlation \+0\.60\)",
        ({"0": 1.0, "1": 1.0, "2": 1.0}, {"ink": -0.1, "width": 0.05}, 3.0, "m"),
        r"no digit in particular.*hangs on neither",
    ),
    (
        "drawing",
        ({"p": 0.1, "v": 0.6}, {"p": 0.7, "v": 0.8}, {"p": 0.8, "v": 0.8}, 0.9, "p", ["v"]),
        r"but from a mixture, nearly.*helps its draws \(`v`\), but a mixture",
        ({"p": 0.6, "v": 0.6}, {"p": 0.6, "v": 0.8}, {"p": 0.8, "v": 0.8}, 0.9, "p", ["v"]),
        r"no great help.*does not help its draws",
    ),
    (
        "denoising",
        ({0.1: 20.0, 0.8: 2.0}, {0.1: 24.0, 0.8: 16.0}, 0.6, 25.0),
        r"the more the noisier.*beyond it the gain is \+14\.0",
        ({0.1: 20.0, 0.8: 2.0}, {0.1: 19.0, 0.8: 16.0}, 0.9, 20.0),
        r"Only where σ is 0\.8\.\*\*(?!.*beyond)",
    ),
    (
        "dimensions",
        ({"a": 13}, {"a": 7.7}, 20, {"ink": ("a", 6, 0.52)}),
        r"Partly.*13 of 20.*ink z6 \(\+0\.52\)",
        ({"a": 13}, {"a": 7.7}, 20, {"ink": ("a", 6, -0.2)}),
        r"nothing that has a name here.*ink z6 \(−0\.20\)",
    ),
    ("training", (["a", "b"], [], 3), r"Mostly not.*none had it been lower", ([], ["c"], 3), r"Mostly:.*1 \(`c`\)"),
    ("training", ([], [], 3), r"\*\*Yes", (["a"], [], 3), r"\*\*Mostly:"),
    ("neighbours", ({2: 0.4, 16: 0.88}, 0.9), r"from 16 numbers on", ({2: 0.4, 16: 0.5}, 0.9), r"Less than"),
    (
        "depth",
        ({"s": 0.02, "d": 0.01}, {"s": 0, "d": 0}, "s", 0.015, 32),
        r"`d` beats the shallow `s`\.\*\*.*better than `s`\.$",
        ({"s": 0.02, "d": 0.04}, {"s": 0, "d": 13}, "s", 0.05, 32),
        r"`d` does worse than `s`\.\*\*.*worse than all of them.*13 images \(`d`\)",
    ),
]


@pytest.mark.parametrize(("name", "one", "said", "other", "instead"), WORDS, ids=[words[0] for words in WORDS])
def test_words_follow_from_figures(
    name: str, one: tuple[Any, ...], said: str, other: tuple[Any, ...], instead: str
) -> None:
    sentence: Callable[..., str] = getattr(say, name)
    first, second = sentence(*one), sentence(*other)
    assert re.search(said, first), first
    assert re.search(instead, second), second
    assert not re.search(instead, first)
    assert not re.search(said, second)


def test_every_sentence_is_tested() -> None:
    made = {name for name, value in vars(say).items() if callable(value) and value.__module__ == say.__name__}
    assert made - {"percent", "listed", "minus", "code", "each"} == {words[0] for words in WORDS}


class TestPage:
    text = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""

    def test_it_shows_all_pictures_there_are_in_both_themes(self) -> None:
        shown = re.findall(r'(?:src|srcset)="([^"]+)"', self.text)
        there = {path.relative_to(PAGE.parent).as_posix() for path in (PAGE.parent / "gallery").iterdir()}
        assert sorted(shown) == sorted(there)
        for name in shown:
            dark = name.replace(".png", "-dark.png")
            assert name.endswith("-dark.png") or dark in there

    @pytest.mark.parametrize("section", sections.SECTIONS, ids=[each.key for each in sections.SECTIONS])
    def test_each_question_has_picture_answer_and_command(self, section: Any) -> None:
        heading = f"## {section.question}\n"
        assert heading in self.text
        part = self.text.split(heading)[1].split("\n## ")[0]
        assert f"](#{page.anchor(section.question)})" in self.text
        assert part.count("<picture>") == len(section.shots)
        assert re.search(r"\d", part.split("</picture>")[-1].split("\nFigures: ")[0]), "an answer has figures"
        assert "**" in part
        assert "\nFigures: " in part
        for shot in section.shots:
            assert re.search(rf"aedeploy plot {re.escape(shot.kind)} \S+/{re.escape(shot.model)}\b", part)

    def test_the_pictures_are_small(self) -> None:
        assert sum(path.stat().st_size for path in (PAGE.parent / "gallery").iterdir()) < 4 * 2**20


class TestSections:
    def test_every_model_is_known_and_used(self) -> None:
        used = {name for section in sections.SECTIONS for name in gallery.needed(section)}
        used |= {shot.choices["against"] for s in sections.SECTIONS for shot in s.shots if "against" in shot.choices}
        assert used == set(sections.MODELS)

    def test_pictures_have_names_of_their_own(self) -> None:
        names = [shot.name for section in sections.SECTIONS for shot in section.shots]
        assert len(set(names)) == len(names)

    def test_a_finished_training_is_known_by_its_epochs(self) -> None:
        greedy = {"name": "greedy", "layer_epochs": 5}
        recipe = {"training": {"epochs": 10}, "model": {"backbone": {"hidden": [512, 256, 128]}}}
        assert gallery.epochs_of(greedy, recipe) == 30
        assert gallery.epochs_of({"name": "joint"}, recipe) == 10

    def test_what_was_never_trained_is_not_kept(self, tmp_path: Path) -> None:
        assert not gallery.same_recipe(tmp_path, "mlp-32", ())

    def test_fewer_colours_keep_the_page_exact(self) -> None:
        from PIL import Image

        pixels = random().integers(0, 256, (64, 64, 3)).astype(np.uint8)
        pixels[:8] = (13, 17, 23)
        image = Image.fromarray(pixels)
        fewer = gallery.quantised(image, 16).convert("RGB")
        assert fewer.getpixel((0, 0)) == (13, 17, 23)
        assert not gallery.close(image, fewer)
        assert gallery.close(image, image)


@pytest.mark.slow
def test_a_quick_gallery_from_nothing(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "benchmarks" / "gallery.py", "--quick", "--out", tmp_path]
    subprocess.run(command, check=True, capture_output=True)
    text = (tmp_path / "gallery.md").read_text(encoding="utf-8")
    for name in re.findall(r'(?:src|srcset)="([^"]+)"', text):
        assert (tmp_path / name).is_file()
    assert text.count("\n## ") == len(sections.QUICK) + 1
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/weights.safetensors")}
    subprocess.run(command, check=True, capture_output=True)
    assert written == {path: path.stat().st_mtime_ns for path in written}, "nothing is trained twice"
