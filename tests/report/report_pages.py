"""What the tests of the report share: pages as a person reads them, and as a program does."""

from __future__ import annotations

import html
import importlib.util
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from aedeploy.bundle import Bundle, open_bundle
from aedeploy.report import ReportOptions, write_report

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7 * 7 }}"


class Found(HTMLParser):
    """The elements of a page, and the text of each kind of script and style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self._inside: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style") else None
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif self._inside == "style":
            self.styles.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._inside = None


def text_of(page: str) -> str:
    """What a person reads."""
    plain = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", page, flags=re.DOTALL)
    plain = re.sub(r"</?(code|strong|em|span|a)\b[^>]*>", "", plain)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", plain)).split())


def page_of(bundle: Bundle, **options: Any) -> str:
    """A report without pictures, unless they are asked for."""
    chosen = ReportOptions(**{"pictures": (), **options})
    return write_report(bundle, chosen).path.read_text(encoding="utf-8")


def copied(bundle: Bundle, folder: Path) -> Bundle:
    return open_bundle(shutil.copytree(bundle.path, folder / bundle.path.name))


def absent(packages: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As if packages were not installed."""
    real = importlib.util.find_spec

    def found(name: str, *more: Any) -> Any:
        return None if name in packages else real(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", found)


def failed_result(**more: object) -> dict[str, object]:
    """Of a parity report: a decoder that is wrong."""
    worst = {"output": "image", "passed": False, "max_abs": 0.32, "limit": 1e-5, "decisions": None}
    reason = "image on black images, batch 1: too far off"
    usual = {"role": "decoder", "format": "onnx", "pixels": "float32", "passed": False, "reason": reason}
    return {**usual, "worst": [worst], **more}


def bench_row(variant: str, **more: object) -> dict[str, object]:
    """Of a benchmark."""
    figures = {"images_per_second": 2500.0, "latency_ms": 0.25, "bytes": 3_200_000, "psnr_lost": -0.0001}
    return {"variant": variant, "status": "passed", "device": "cpu", "reason": None, **figures, **more}
