"""A web page with onnxruntime-web: the latent explorer."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from aedeploy.embed.contract import MODEL_FOLDER
from aedeploy.embed.program import README, Program, filled, sources
from aedeploy.embed.targets._codebook import codebook_of
from aedeploy.embed.targets._onnxruntime_web import runtime_files
from aedeploy.embed.targets._points import points_of

FORMATS: tuple[str, ...] = ("onnx", "ort", "onnx-fp16", "onnx-int8")
NEEDS = "a static server and a browser; to write it, npm once, or --runtime"
NEXT: tuple[str, ...] = ("python -m http.server --bind 127.0.0.1",)
OPTIONS: tuple[str, ...] = ("runtime", "samples")

# What is shared with Node is flat there; a page keeps its scripts together.
_SCRIPTS = "js"


def files(program: Program) -> dict[str, bytes]:
    """The page, onnxruntime-web, the contract as a module, and what the page shows beyond the graphs."""
    found = {f"{_SCRIPTS}/{path}": content for path, content in sources("javascript").items()} | sources("web")
    found[README] = filled(found[README], program)
    extra: dict[str, bytes] = {}
    contract = {
        **program.contract,
        "codebook": _codebook(program, extra),
        "points": _points(program, extra),
    }
    found[f"{_SCRIPTS}/contract.js"] = _module(contract).encode()
    return found | extra | runtime_files(program.options.get("runtime"), program.say)


def _codebook(program: Program, extra: dict[str, bytes]) -> dict[str, Any] | None:
    codebook = codebook_of(program.bundle)
    if isinstance(codebook, list):
        return {"levels": codebook}
    return None if codebook is None else _file(extra, "codebook.bin", codebook.astype("<f4").tobytes())


def _points(program: Program, extra: dict[str, bytes]) -> dict[str, Any] | None:
    points = points_of(program)
    if points is None:
        return None
    content = {"labels": points.labels, "points": points.rows}
    return {**_file(extra, "points.json", json.dumps(content).encode()), "about": points.about}


def _file(extra: dict[str, bytes], name: str, content: bytes) -> dict[str, Any]:
    """Add a file beside the graphs; returns its record, as the contract has it."""
    path = f"{MODEL_FOLDER}/{name}"
    extra[path] = content
    return {"file": path, "sha256": sha256(content).hexdigest(), "bytes": len(content)}


def _module(contract: dict[str, Any]) -> str:
    return (
        "/** What this page must know of its model. Written by aedeploy embed; contract.d.ts says what it means. */\n"
        f"export const contract = {json.dumps(contract, ensure_ascii=False, indent=2)};\n"
    )
