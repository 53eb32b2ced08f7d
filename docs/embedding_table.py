"""The tables of docs/embedding.md, from the figures of `make embed-test`.

python docs/embedding_table.py FIGURES PAGE
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
ROOT = Path(__file__).resolve().parents[1]

#: What runs the graphs, and the package whose version it is: of Python, or of npm.
TARGETS = {
    "python": ("Python, onnxruntime", "onnxruntime"),
    "node": ("Node, onnxruntime-node", "npm:onnxruntime-node"),
    "web": ("Chromium, onnxruntime-web (WebAssembly)", "npm:onnxruntime-web"),
    "web-webgpu": ("Chromium, onnxruntime-web (WebGPU, in software)", "npm:onnxruntime-web"),
    "cpp-onnx": ("C++, OpenVINO", "openvino"),
    "cpp-onnx-onnxruntime": ("C++, onnxruntime", "onnxruntime"),
    "cpp-libtorch": ("C++, libtorch", "torch"),
}
KINDS = {"mlp": "mlp-32", "conv": "ae", "gaussian": "vae", "vq": "vq-vae"}
_LATENTS = ("latent", "logvar", "indices")


def tables(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: what every runtime makes of the golden vectors, and of image files."""
    resizes = [row for row in rows if "resize" in row]
    rows = [row for row in rows if "target" in row]
    found = {(row["target"], row["kind"]): row for row in rows}
    targets = [target for target in TARGETS if any(key[0] == target for key in found)]
    lines = [
        f"Written by `make embed-test` on {platform.system()}, {platform.machine()}. The four bundles are trained for "
        "one epoch on embedded digits.",
        "",
        "Golden vectors, largest error of latents · of images (allowed: 1e-5 of images, 1e-5 + 1e-5 × the largest "
        "value of latents):",
        "",
        "| runtime | " + " | ".join(f"{kind} (`{recipe}`)" for kind, recipe in KINDS.items()) + " |",
        "|---|" + "---|" * len(KINDS),
    ]
    for target in targets:
        cells = [_golden(found.get((target, kind))) for kind in KINDS]
        lines.append(f"| {_label(target)} | {' | '.join(cells)} |")
    if any(row["images"] for row in rows):
        lines += ["", *_files(found, targets)]
    if resizes:
        lines += ["", *_resizes(resizes)]
    return "\n".join(lines) + "\n"


def _label(target: str) -> str:
    label, package = TARGETS[target]
    name = package.removeprefix("npm:")
    if package != name:
        manifest = ROOT / ".tools" / "node_modules" / name / "package.json"
        version = json.loads(manifest.read_text(encoding="utf-8"))["version"]
    else:
        version = importlib.metadata.version(name).partition("+")[0]
    return f"{label} {version}"


def _golden(row: dict[str, Any] | None) -> str:
    if row is None:
        return "not run"
    compared = [result for result in row["results"] if result["max_abs"] is not None]
    latents = max((r["max_abs"] for r in compared if r["output"] in _LATENTS), default=None)
    images = max((r["max_abs"] for r in compared if r["output"] not in _LATENTS), default=None)
    return f"{_figure(latents)} · {_figure(images)}" + ("" if row["passed"] else " **failed**")


def _files(found: dict[tuple[str, str], dict[str, Any]], targets: Iterable[str]) -> list[str]:
    lines = [
        "From image file to latent, against `aedeploy encode`. PNG: the pixels are the same, so this is the resize and "
        "the engine. JPEG: photographs, which each platform decodes by its own library; *same* are those whose latent "
        "is as near as golden ones must be; errors are of the largest value of that latent, in per cent (of `vq-vae`, "
        "codes that are others, in per cent).",
        "",
        "| runtime | bundle | PNG: files | largest error | JPEG: files | same | median | largest |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for target in targets:
        for kind in KINDS:
            row = found.get((target, kind))
            if row is not None and row["images"]:
                lines.append(f"| {_label(target)} | {KINDS[kind]} | {_file_cells(row['images'])} |")
    return lines


def _file_cells(images: Sequence[dict[str, Any]]) -> str:
    compared = [image for image in images if image["max_abs"] is not None]
    exact = [image for image in compared if image["path"].endswith(".png")]
    photographs = [image for image in compared if not image["path"].endswith(".png")]
    cells = [str(len(exact)), _figure(max((image["max_abs"] for image in exact), default=None)), str(len(photographs))]
    if not photographs:
        return " | ".join([*cells, "–", "–", "–"])
    same = sum(image["max_abs"] <= 1e-5 + 1e-5 * image["peak"] for image in photographs)
    shares = [_share(image) for image in photographs]
    return " | ".join([*cells, str(same), f"{median(shares):.2g} %", f"{max(shares):.2g} %"])


def _resizes(rows: Sequence[dict[str, Any]]) -> list[str]:
    photographs = len(rows[0]["shares"])
    lines = [
        f"What a platform's own resize would do instead: {photographs} photographs, grey and lossless, so that nothing "
        f"else differs; the error of `{rows[0]['recipe']}`'s latent, of its largest value.",
        "",
        "| resize | median | largest |",
        "|---|--:|--:|",
    ]
    for row in rows:
        lines.append(f"| {row['resize']} | {100 * median(row['shares']):.2g} % | {100 * max(row['shares']):.2g} % |")
    return lines


def _share(image: dict[str, Any]) -> float:
    if image["decisions"]:
        return 100.0 * float(image["otherwise"]) / float(image["decisions"])
    return 100.0 * float(image["max_abs"]) / float(image["peak"])


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.1e}"


def main(figures: Path, page: Path) -> None:
    rows = [json.loads(line) for line in figures.read_text(encoding="utf-8").splitlines()]
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{tables(rows)}\n{END}{after}", encoding="utf-8")
    print(f"{page}: {len(rows)} programs")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
