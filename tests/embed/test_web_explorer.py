"""The latent explorer as one uses it: what is changed is drawn, and is what Python makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embed.web_browser import opened, serving
from embed.web_pages import (
    Sites,
    bundle_samples,
    chromium,
    close,
    drop,
    needs_chromium,
    numbers,
    pages,
    settle,
    sites,
    start,
    write_page,
)
from embed.web_scripts import DRAWN
from PIL import Image

import aedeploy
from aedeploy.bundle import Bundle

__all__ = ["chromium", "pages", "sites", "start"]  # fixtures

pytestmark = needs_chromium

LATENT = "aedeploy.explorer.latent"


def fresh(page: Any) -> None:
    """Wait until what comes out is that of the latent as it is."""
    page.evaluate("aedeploy.explorer.settled()")


def shown(page: Any, canvas: str) -> np.ndarray:
    """What is drawn on a canvas: uint8 [H, W, 4]."""
    width, height, pixels = page.evaluate(DRAWN, canvas)
    return np.array(pixels, np.uint8).reshape(height, width, 4)


def assert_decoded(page: Any, bundle: Bundle) -> None:
    """The picture that is shown is what Python's decoder makes of the latent that is shown."""
    fresh(page)
    shape = page.evaluate("aedeploy.contract.latent.shape")
    want = aedeploy.load(bundle).decode(numbers(page, LATENT).reshape(1, *shape))[0]
    got = shown(page, "#output")[..., : want.shape[2]]
    # A value between two bytes may be rounded either way.
    assert np.abs(got.astype(int) - want).max() <= 1


def drag(page: Any, locator: Any, start: float, end: float) -> None:
    """Press on an element, a share of its width from its left, and move on to another, in steps."""
    box = locator.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], y, steps=8)
    page.mouse.up()


def test_sliders_redraw(sites: Sites, bundles: dict[str, Bundle], chromium: Any) -> None:
    with opened(chromium, sites("mlp")) as page:
        assert_decoded(page, bundles["mlp"])
        own, before = numbers(page, LATENT), shown(page, "#output")
        sliders = page.locator("#sliders input[type=range]")
        assert sliders.count() == 32
        page.evaluate("window.drawn = 0; aedeploy.explorer.addEventListener('output', () => (window.drawn += 1))")
        drag(page, sliders.nth(2), 0.5, 0.98)
        fresh(page)
        assert page.evaluate("window.drawn") > 1
        after = numbers(page, LATENT)
        assert after[2] > own[2]
        assert np.array_equal(np.delete(after, 2), np.delete(own, 2))
        assert not np.array_equal(shown(page, "#output"), before)
        assert_decoded(page, bundles["mlp"])
        assert page.text_content("#output-title") == "Decoded"
        page.get_by_role("button", name="Reset").click()
        fresh(page)
        assert np.array_equal(numbers(page, LATENT), own)
        assert np.array_equal(shown(page, "#output"), before)
        page.get_by_role("button", name="Random").click()
        assert_decoded(page, bundles["mlp"])
        samples = aedeploy.load(bundles["mlp"]).encode(bundle_samples(bundles["mlp"]))
        drawn_latent = numbers(page, LATENT)
        assert not np.array_equal(drawn_latent, own)
        assert np.all(drawn_latent >= samples.min(0) - 1e-4)
        assert np.all(drawn_latent <= samples.max(0) + 1e-4)


def test_the_last_change_wins(sites: Sites, bundles: dict[str, Bundle], chromium: Any) -> None:
    with opened(chromium, sites("mlp")) as page:
        drawn = page.evaluate(
            """async () => {
              let drawn = 0;
              aedeploy.explorer.addEventListener("output", () => (drawn += 1));
              for (let step = 0; step < 500; step += 1) aedeploy.explorer.setNumber(0, step / 100);
              await aedeploy.explorer.settled();
              return drawn;
            }"""
        )
        assert drawn <= 2
        assert numbers(page, LATENT)[0] == np.float32(4.99)
        assert_decoded(page, bundles["mlp"])


def test_the_map(sites: Sites, bundles: dict[str, Bundle], chromium: Any) -> None:
    with opened(chromium, sites("mlp-2d")) as page:
        plane = page.get_by_label("Map of the latent plane")
        assert_decoded(page, bundles["mlp-2d"])
        own = numbers(page, LATENT)
        box = plane.bounding_box()
        page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 0.75 * box["height"])
        assert_decoded(page, bundles["mlp-2d"])
        walked = numbers(page, LATENT)
        assert not np.array_equal(walked, own)
        drag(page, plane, 0.3, 0.7)
        dragged = numbers(page, LATENT)
        assert np.all(dragged > walked)
        plane.focus()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowDown")
        stepped = numbers(page, LATENT)
        assert np.all(stepped < dragged)
        page.keyboard.press("Shift+ArrowLeft")
        assert dragged[0] - numbers(page, LATENT)[0] == pytest.approx(6 * (dragged[0] - stepped[0]), rel=1e-3)
        assert_decoded(page, bundles["mlp-2d"])
        page.keyboard.press("Home")
        assert np.array_equal(numbers(page, LATENT), own)
        # A model of somebody's own data: the points are its samples.
        assert "The points are the samples." in page.text_content("#map-about")
        assert np.count_nonzero(shown(page, ".plane .points")[..., 3]) > 50


def test_labels_of_points_are_hidden_and_shown(bundles: dict[str, Bundle], chromium: Any, tmp_path: Path) -> None:
    for at, pixels in enumerate(bundle_samples(bundles["mlp-2d"])[:30]):
        path = tmp_path / "samples" / ("even" if at % 2 == 0 else "odd") / f"{at}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[..., 0]).save(path)
    page = write_page(bundles["mlp-2d"], tmp_path / "page", samples=tmp_path / "samples")
    with serving(page) as address, opened(chromium, address) as page:

        def painted() -> int:
            return np.count_nonzero(shown(page, ".plane .points")[..., 3])

        assert "The points are images of samples." in page.text_content("#map-about")
        both = painted()
        odd = page.get_by_role("button", name="odd")
        odd.click()
        assert 0 < painted() < both
        page.get_by_role("button", name="even").click()
        assert painted() == 0
        odd.click()
        assert painted() > 0
        for layer in ("Pictures", "Points"):
            canvas = page.locator(".plane canvas." + ("tiles" if layer == "Pictures" else "points"))
            assert canvas.is_visible()
            page.get_by_role("button", name=layer).click()
            assert not canvas.is_visible()


def test_between_two_images(sites: Sites, bundles: dict[str, Bundle], chromium: Any, tmp_path: Path) -> None:
    samples = aedeploy.load(bundles["conv"]).encode(bundle_samples(bundles["conv"])[:4])
    Image.fromarray(bundle_samples(bundles["conv"])[3, ..., 0]).save(tmp_path / "fourth.png")
    with opened(chromium, sites("conv")) as page:
        page.get_by_role("button", name="Set A").click()
        page.get_by_role("button", name="Sample 2", exact=True).click()
        settle(page, "sample 2")
        page.get_by_role("button", name="Set B").click()
        slider = page.get_by_role("slider", name="From A to B")
        for share in (0.0, 0.25, 1.0):
            slider.fill(str(share))
            fresh(page)
            assert close(numbers(page, LATENT), samples[0] + np.float32(share) * (samples[1] - samples[0]))
            assert_decoded(page, bundles["conv"])
        film = shown(page, "#film")
        assert film.shape[:2] == (28, 9 * 28)
        page.get_by_role("button", name="Swap").click()
        page.wait_for_timeout(200)
        assert np.array_equal(shown(page, "#film")[:, :28], film[:, -28:])
        drop(page, tmp_path / "fourth.png", "#set-b")
        settle(page, "fourth.png")
        slider.fill("1")
        fresh(page)
        assert close(numbers(page, LATENT), samples[3])


@pytest.mark.parametrize(("kind", "title"), [("denoising", "Denoised"), ("mlp", "Reconstruction")])
def test_noise(kind: str, title: str, sites: Sites, bundles: dict[str, Bundle], chromium: Any) -> None:
    with opened(chromium, sites(kind)) as page:
        own, clean = numbers(page, LATENT), numbers(page, "aedeploy.explorer.input")
        page.get_by_label("σ").fill("0.4")
        fresh(page)
        noisy = numbers(page, "aedeploy.explorer.input")
        assert (noisy - clean).std() == pytest.approx(0.4, abs=0.04)
        assert (noisy - clean).mean() == pytest.approx(0.0, abs=0.06)
        assert not np.array_equal(numbers(page, LATENT), own)
        assert_decoded(page, bundles[kind])
        assert page.text_content("#output-title") == title
        page.get_by_role("button", name="Reshuffle").click()
        fresh(page)
        other = numbers(page, "aedeploy.explorer.input")
        assert np.abs(other - noisy).mean() > 0.1
        page.get_by_label("σ").fill("0")
        fresh(page)
        assert np.array_equal(numbers(page, LATENT), own)


def test_a_gaussian_latent_is_sampled(sites: Sites, bundles: dict[str, Bundle], chromium: Any) -> None:
    with opened(chromium, sites("gaussian")) as page:
        mean, logvar = numbers(page, LATENT), numbers(page, "aedeploy.explorer.encoded.logvar")
        draws = []
        for _ in range(30):
            page.get_by_role("button", name="Sample", exact=True).click()
            draws.append((numbers(page, LATENT) - mean) / np.exp(logvar / 2))
        assert_decoded(page, bundles["gaussian"])
        assert np.std(draws) == pytest.approx(1.0, abs=0.12)
        assert np.mean(draws) == pytest.approx(0.0, abs=0.12)


@pytest.mark.parametrize("kind", ["vq", "fsq"])
def test_codes_are_picked_at_a_place(kind: str, sites: Sites, bundles: dict[str, Bundle], chromium: Any) -> None:
    with opened(chromium, sites(kind)) as page:
        # The table in the page is that of the encoder.
        assert (
            page.evaluate(
                """Math.max(...aedeploy.explorer.codebook.latent(aedeploy.explorer.encoded.indices)
              .map((value, at) => Math.abs(value - aedeploy.explorer.encoded.latent[at])))"""
            )
            < 1e-6
        )
        cells = page.locator("#places [role=gridcell]")
        assert cells.count() == 49
        cells.nth(8).click()
        assert "row 2, column 2" in page.text_content("#sliders-title")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")
        assert cells.nth(16).get_attribute("aria-selected") == "true"
        before = numbers(page, LATENT).reshape(-1, 49)
        codes = page.locator("#codes [role=option]")
        codes.nth(5).click()
        after = numbers(page, LATENT).reshape(-1, 49)
        assert np.array_equal(np.delete(after, 16, 1), np.delete(before, 16, 1))
        assert np.array_equal(after[:, 16], numbers(page, "aedeploy.explorer.codebook.entry(5)"))
        page.keyboard.press("ArrowRight")
        assert page.evaluate("aedeploy.explorer.codes[16]") == 6
        assert cells.nth(16).text_content() == "6"
        assert_decoded(page, bundles[kind])
        page.get_by_role("button", name="Random").click()
        assert_decoded(page, bundles[kind])
        codes.locator("canvas").last.wait_for()


def test_what_is_saved_is_read_again(sites: Sites, bundles: dict[str, Bundle], chromium: Any, tmp_path: Path) -> None:
    with opened(chromium, sites("vq")) as page:
        saved: dict[str, Path] = {}
        for name in ("Save latent", "Save picture"):
            with page.expect_download() as download:
                page.get_by_role("button", name=name).click()
            saved[name] = tmp_path / download.value.suggested_filename
            download.value.save_as(saved[name])
        values = json.loads(saved["Save latent"].read_text())
        assert np.array(values["latent"]).shape == (16, 7, 7)
        assert np.array(values["indices"]).shape == (7, 7)
        assert np.array_equal(np.array(values["latent"], np.float32).reshape(-1), numbers(page, LATENT))
        assert np.array_equal(
            np.asarray(Image.open(saved["Save picture"]).convert("L")), shown(page, "#output")[..., 0]
        )
        page.get_by_role("button", name="Random").click()
        drop(page, saved["Save latent"])
        page.wait_for_timeout(100)
        fresh(page)
        assert np.array_equal(np.array(values["latent"], np.float32).reshape(-1), numbers(page, LATENT))


def test_many_numbers_are_shown_on_demand(sites: Sites, chromium: Any) -> None:
    with opened(chromium, sites("k-sparse")) as page:
        sliders = page.locator("#sliders input[type=range]")
        assert sliders.count() == 32
        assert page.get_by_label("Order of the sliders").input_value() == "size"
        kept = int(np.count_nonzero(numbers(page, LATENT)))
        shown_first = [float(value) for value in sliders.evaluate_all("all => all.map(({ value }) => value)")]
        assert all(value != 0 for value in shown_first[: min(kept, 32)])
        page.get_by_role("button", name="Show all 256").click()
        assert sliders.count() == 256
        page.get_by_role("button", name="Random").click()
        fresh(page)
        assert np.count_nonzero(numbers(page, LATENT)) == kept
