"""A program that speaks the conformance protocol of docs/embedding.md, by Python's own library alone.

    python specified_program.py GOLDEN

answers from a golden file: it knows the outputs for the inputs that are in there, and nothing else.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import BinaryIO

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from embed.specified import Tensor, golden_cases, packed, read_safetensors, unpacked

SIZES = {"float32": 4, "int64": 8, "uint8": 1}
INPUTS = {"encoder": "image", "decoder": "latent", "autoencoder": "image"}


def read_tensor(source: BinaryIO) -> tuple[str, Tensor]:
    word, name, dtype, rank, *dimensions = source.readline().decode().rstrip("\n").split(" ")
    shape = tuple(map(int, dimensions))
    if word != "tensor" or int(rank) != len(shape):
        sys.exit("that is no tensor")
    return name, unpacked(dtype, shape, source.read(math.prod(shape) * SIZES[dtype]))


def write_tensor(sink: BinaryIO, name: str, tensor: Tensor) -> None:
    words = ["tensor", name, tensor.dtype, len(tensor.shape), *tensor.shape]
    sink.write(" ".join(map(str, words)).encode() + b"\n" + packed(tensor))


def serve(source: BinaryIO, sink: BinaryIO, cases: dict[tuple[str, int], dict[str, Tensor]]) -> None:
    roles = {role for role, _ in cases}
    if source.readline() != b"conform 1\n":
        sys.exit("this speaks version 1 of the conformance protocol")
    sink.write(b"conform 1\n")
    sink.flush()
    while line := source.readline():
        request, _, rest = line.decode().rstrip("\n").partition(" ")
        if request == "image":
            sink.write(b"skip it reads no image files\n")
        else:
            role, count = rest.split(" ")
            given = dict(read_tensor(source) for _ in range(int(count)))
            answer_run(sink, role, given, roles, cases)
        sink.flush()


def answer_run(
    sink: BinaryIO,
    role: str,
    given: dict[str, Tensor],
    roles: set[str],
    cases: dict[tuple[str, int], dict[str, Tensor]],
) -> None:
    if role not in roles:
        sink.write(f"skip there is no graph {role}\n".encode())
        return
    name = INPUTS[role]
    for (of, _), tensors in cases.items():
        if of == role and tensors[name] == given.get(name):
            outputs = {key: tensor for key, tensor in tensors.items() if key != name}
            sink.write(f"ok {len(outputs)}\n".encode())
            for key, tensor in outputs.items():
                write_tensor(sink, key, tensor)
            return
    sink.write(b"error these inputs are not in the golden file\n")


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer, golden_cases(read_safetensors(Path(sys.argv[1]).read_bytes())))
