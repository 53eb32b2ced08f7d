"""The conformance protocol of ``aedeploy conform``, version 1, on stdin and stdout."""

from __future__ import annotations

import math
import sys
from typing import Any, BinaryIO

import numpy as np

from autoencoder import Arrays, Autoencoder, graph_of
from contract import CONTRACT
from image_file import read_image

_DTYPES: dict[str, np.dtype[Any]] = {"float32": np.dtype("<f4"), "int64": np.dtype("<i8"), "uint8": np.dtype("u1")}


def serve(model: Autoencoder) -> None:
    """Answer requests until the input ends."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while line := source.readline():
        word, _, rest = line.decode().rstrip("\n").partition(" ")
        if word == "conform":
            sink.write(b"conform 1\n")
        elif word == "run":
            role, _, count = rest.partition(" ")
            inputs = dict(_read_tensor(source) for _ in range(int(count)))
            _answer(sink, model, role, inputs)
        elif word == "image":
            _answer(sink, model, "encoder", rest)
        else:
            _say(sink, "error", f"there is no request {word!r}")
        sink.flush()


def _answer(sink: BinaryIO, model: Autoencoder, role: str, given: Arrays | str) -> None:
    try:
        graph_of(role)
    except KeyError:
        _say(sink, "skip", f"the model has no {role}")
        return
    if isinstance(given, str) and CONTRACT["noise"]:
        _say(sink, "skip", "the model is told how much noise there is, which a request for a file does not say")
        return
    try:
        outputs = model.run(role, {"image": read_image(given)} if isinstance(given, str) else given)
    except Exception as error:  # Pillow and onnxruntime raise nearly anything
        _say(sink, "error", " ".join(str(error).split()))
        return
    sink.write(f"ok {len(outputs)}\n".encode())
    for name, array in outputs.items():
        sink.write(f"tensor {name} {array.dtype} {array.ndim} {' '.join(map(str, array.shape))}\n".encode())
        sink.write(np.ascontiguousarray(array, _DTYPES[str(array.dtype)]).tobytes())


def _say(sink: BinaryIO, kind: str, message: str) -> None:
    sink.write(f"{kind} {message}\n".encode())


def _read_tensor(source: BinaryIO) -> tuple[str, np.ndarray]:
    try:
        _, name, dtype, _rank, *sizes = source.readline().decode().split()
        shape = tuple(map(int, sizes))
        content = source.read(math.prod(shape) * _DTYPES[dtype].itemsize)
        return name, np.frombuffer(content, _DTYPES[dtype]).reshape(shape)
    except (ValueError, KeyError):
        raise ValueError("the input is not that of the conformance protocol: a tensor was due") from None
