"""The latent explorer for everybody: by keyboard alone, in both themes, on a small phone."""

from __future__ import annotations

from typing import Any

import pytest
from embed.web_browser import opened
from embed.web_pages import Sites, chromium, needs_chromium, numbers, pages, settle, sites, start
from embed.web_scripts import FOCUSED, UNREADABLE

__all__ = ["chromium", "pages", "sites", "start"]  # fixtures

pytestmark = needs_chromium


def test_by_keyboard_alone(sites: Sites, chromium: Any) -> None:
    with opened(chromium, sites("gaussian")) as page:
        reached: list[str] = []
        for _ in range(80):
            page.keyboard.press("Tab")
            stop = page.evaluate(FOCUSED)
            if stop["body"]:
                break
            assert all((stop["outlined"], stop["seen"], stop["name"].strip())), stop
            reached.append(stop["id"] or stop["name"])
        controls = "badge theme file noise random sample number-0 number-19 set-a swap between save-picture save-latent"
        assert set(controls.split()) <= set(reached)
        assert "Self-test" in " ".join(reached)
        # One stop for all samples; arrows go through them.
        assert [name for name in reached if name.startswith("Sample ")] == ["Sample 1"]
        page.locator("#gallery button").first.focus()
        page.keyboard.press("ArrowRight")
        settle(page, "sample 2")
        page.keyboard.press("End")
        settle(page, f"sample {page.locator('#gallery button').count()}")
        page.locator("#number-0").focus()
        before = numbers(page, "aedeploy.explorer.latent")
        page.keyboard.press("ArrowRight")
        assert numbers(page, "aedeploy.explorer.latent")[0] > before[0]
        page.locator("#between").focus()
        page.keyboard.press("End")
        page.evaluate("aedeploy.explorer.settled()")
        assert page.get_attribute("#between", "aria-valuetext") == "100 % of the way to B"
        page.locator("#self-test summary").focus()
        page.keyboard.press("Enter")
        assert page.locator("#checks tr").first.is_visible()
        page.locator("#theme").focus()
        page.keyboard.press("Space")
        assert page.get_attribute("html", "data-theme") == "dark"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes_can_be_read(scheme: str, sites: Sites, chromium: Any) -> None:
    with opened(chromium, sites("vq"), color_scheme=scheme, reduced_motion="reduce") as page:
        page.locator("#codes canvas").first.wait_for()
        page.evaluate("document.getElementById('self-test').open = true")
        assert page.get_attribute("#theme", "aria-pressed") == str(scheme == "dark").lower()
        assert page.evaluate(UNREADABLE) == []
        page.locator("#theme").click()
        other = "light" if scheme == "dark" else "dark"
        assert page.get_attribute("html", "data-theme") == other
        assert page.evaluate(UNREADABLE) == []
        page.reload()
        page.evaluate("aedeploy.ready")
        assert page.get_attribute("html", "data-theme") == other


@pytest.mark.parametrize("kind", ["vq", "mlp-2d", "gaussian", "k-sparse"])
def test_on_a_small_phone(kind: str, sites: Sites, chromium: Any) -> None:
    with opened(chromium, sites(kind), viewport={"width": 320, "height": 640}, has_touch=True, is_mobile=True) as page:
        page.locator("#self-test summary").click()
        assert page.evaluate("document.scrollingElement.scrollWidth") == 320
        # Both pictures stay in sight while the last slider is moved.
        page.locator("#between").scroll_into_view_if_needed()
        for canvas in ("image", "output"):
            box = page.locator(f"#{canvas}").bounding_box()
            assert 0 <= box["y"] <= 640 - box["height"]
        page.touchscreen.tap(160, 400)
