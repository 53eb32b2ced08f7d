"""The page as a program of the conformance protocol: ``python web_conform.py FOLDER``, in which the page was written.

A bridge alone: graphs are run, and image files are decoded, resized and encoded, by the page, in Chromium.
"""

from __future__ import annotations

import base64
import sys
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from web_browser import browsers, serving

_DTYPES = {"float32": np.dtype("<f4"), "int64": np.dtype("<i8"), "uint8": np.dtype("u1")}

# Bytes go in and out as text; what the page gives is sent with its own dtype and shape.
_IN_PAGE = """
async ({ role, tensors, file }) => {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const arrays = { float32: Float32Array, int64: BigInt64Array, uint8: Uint8Array };
  const outputs = file === null
    ? await aedeploy.run(role, Object.fromEntries(tensors.map(([name, dtype, shape, text]) =>
        [name, { dtype, shape, data: new arrays[dtype](bytes(text).buffer) }])))
    : await aedeploy.run("encoder", { image: {
        dtype: "float32",
        shape: [1, aedeploy.contract.image.channels, aedeploy.contract.image.height, aedeploy.contract.image.width],
        data: await aedeploy.pixelsOf(new Blob([bytes(file)])),
      } });
  return Object.entries(outputs).map(([name, { dtype, shape, data }]) => {
    const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    let text = "";
    for (let at = 0; at < raw.length; at += 32768) {
      text += String.fromCharCode(...raw.subarray(at, at + 32768));
    }
    return [name, dtype, shape, btoa(text)];
  });
}
"""


def main(folder: Path, stdin: BinaryIO, stdout: BinaryIO) -> None:
    with serving(folder) as address, browsers() as start, start() as chromium:
        page = chromium.new_page()
        page.goto(address)
        if not page.evaluate("aedeploy.ready"):
            sys.exit(page.text_content("#messages"))
        roles = page.evaluate("aedeploy.contract.graphs.map(({ role }) => role)")
        while line := stdin.readline().decode().rstrip("\n"):
            word, _, rest = line.partition(" ")
            if word == "conform":
                stdout.write(b"conform 1\n")
            else:
                stdout.write(_answer(page, roles, word, rest, stdin))
            stdout.flush()


def _answer(page: Any, roles: list[str], word: str, rest: str, stdin: BinaryIO) -> bytes:
    request: dict[str, Any] = {"role": None, "tensors": [], "file": None}
    if word == "image":
        request["file"] = base64.b64encode(Path(rest).read_bytes()).decode()
    else:
        role, _, count = rest.partition(" ")
        request |= {"role": role, "tensors": [_read(stdin) for _ in range(int(count))]}
    if (request["role"] or "encoder") not in roles:
        return b"skip there is no such graph\n"
    try:
        outputs = page.evaluate(_IN_PAGE, request)
    except Exception as error:  # whatever the page throws is its answer
        return f"error {str(error).splitlines()[0]}\n".encode()
    return b"".join([f"ok {len(outputs)}\n".encode(), *(_written(*output) for output in outputs)])


def _read(stdin: BinaryIO) -> list[Any]:
    _, name, dtype, _, *shape = stdin.readline().decode().split()
    sizes = [int(length) for length in shape]
    content = stdin.read(prod(sizes) * _DTYPES[dtype].itemsize)
    return [name, dtype, sizes, base64.b64encode(content).decode()]


def _written(name: str, dtype: str, shape: list[int], content: str) -> bytes:
    head = f"tensor {name} {dtype} {len(shape)} {' '.join(map(str, shape))}\n"
    return head.encode() + base64.b64decode(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)
