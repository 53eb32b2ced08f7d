"""Node: onnxruntime-node and sharp."""

from __future__ import annotations

import json

from aedeploy.embed.program import README, Program, filled, sources

FORMATS: tuple[str, ...] = ("onnx", "ort", "onnx-fp16", "onnx-int8")
NEEDS = "Node 20.11 or newer; onnxruntime-node, sharp"
# Without its script onnxruntime-node has all that a CPU needs: the script fetches files for GPUs.
NEXT: tuple[str, ...] = (
    "npm install --ignore-scripts --omit=dev",
    "node main.js self-test",
    "node main.js encode IMAGE",
)


def files(program: Program) -> dict[str, bytes]:
    """The sources, the README of this bundle, and the contract as a module; its types are a source."""
    found = sources("javascript", "node")
    found[README] = filled(found[README], program)
    found["contract.js"] = _contract(program).encode()
    return found


def _contract(program: Program) -> str:
    said = "What this program must know of its model. Written by aedeploy embed; contract.d.ts says what it means."
    return f"/** {said} */\nexport const contract = {json.dumps(program.contract, ensure_ascii=False, indent=2)};\n"
