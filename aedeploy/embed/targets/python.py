"""Python: onnxruntime, NumPy and Pillow."""

from __future__ import annotations

from pprint import pformat

from aedeploy.embed.program import README, Program, filled, sources

FORMATS: tuple[str, ...] = ("onnx", "ort", "onnx-fp16", "onnx-int8")
NEEDS = "Python 3.11; onnxruntime, NumPy, Pillow"
NEXT: tuple[str, ...] = ("pip install -r requirements.txt", "python main.py self-test", "python main.py encode IMAGE")


def files(program: Program) -> dict[str, bytes]:
    """The sources, the README of this bundle, and the contract as a module."""
    found = sources("python")
    found[README] = filled(found[README], program)
    found["contract.py"] = _contract(program).encode()
    return found


def _contract(program: Program) -> str:
    values = pformat(program.contract, width=110, sort_dicts=False)
    return (
        '"""What this program must know of its model. Written by aedeploy embed; the README says what it means."""\n\n'
        f"from typing import Any, Final\n\nCONTRACT: Final[dict[str, Any]] = {values}\n"
    )
