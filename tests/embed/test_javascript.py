"""What the programs in JavaScript share, in Node: Pillow's arithmetic, and safetensors."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embed.node_programs import JAVASCRIPT, decoded, encoded, evaluate, require_node
from PIL import Image

from aedeploy.images.pixels import to_bytes, to_floats


@pytest.fixture(scope="module")
def modules() -> Path:
    """The folder of the shared modules."""
    require_node()
    return JAVASCRIPT


#: Reads JSON, calls ``answer`` for each element of it, and prints what came back; bytes travel as base64.
_EACH = """
    import { readFileSync } from "node:fs";
    const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
    const text = (array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("base64");
    console.log(JSON.stringify(JSON.parse(readFileSync(0)).map(answer)));
"""


def some_pixels(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    kind = random.integers(3)
    if kind == 0:
        return random.integers(0, 256, shape, dtype=np.uint8)
    # All white, and the strongest contrast: where rounding would overflow.
    return np.full(shape, 255, np.uint8) if kind == 1 else random.integers(0, 2, shape, dtype=np.uint8) * np.uint8(255)


def test_resize_bilinear_is_pillows_to_the_last_bit(modules: Path) -> None:
    random = np.random.default_rng(2)
    sizes = [(2 ** random.uniform(0, 8, 4)).round().astype(int).tolist() for _ in range(300)]
    # Long lines, and the two orders of the passes.
    sizes += [[20000, 2, 3, 2], [2, 20000, 2, 3], [50, 400, 20, 100], [400, 50, 100, 20], [7, 9, 7, 4], [7, 9, 3, 9]]
    cases: list[dict[str, Any]] = []
    wanted = []
    for at, (width, height, new_width, new_height) in enumerate(sizes):
        channels = (1, 3)[at % 2]
        pixels = some_pixels(random, (height, width, channels))
        image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
        wanted.append(image.resize((new_width, new_height), Image.Resampling.BILINEAR).tobytes())
        cases.append({"pixels": encoded(pixels), "call": [width, height, channels, new_width, new_height]})
    program = """
        import { resizeBilinear } from "./pixels.js";
        const answer = ({ pixels, call }) => text(resizeBilinear(bytes(pixels), ...call));
    """
    found = [base64.b64decode(answer) for answer in evaluate(modules, program + _EACH, cases)]
    assert [size for size, one, other in zip(sizes, found, wanted, strict=True) if one != other] == []


def test_grey_input_and_bytes_are_ours_to_the_last_bit(modules: Path) -> None:
    random = np.random.default_rng(3)
    colours = np.concatenate(
        [
            random.integers(0, 256, (150, 200, 3), dtype=np.uint8),
            np.eye(200, dtype=np.uint8)[:50, :, None] * np.uint8([255, 254, 1]),
        ]
    )
    values = random.random((3, 100, 120)).astype(np.float32)
    # Halves between two bytes, whose products with 255 are exact in float32 or not, and both ends.
    halves = (np.arange(255, dtype=np.float32) + np.float32(0.5)) / np.float32(255)
    values.flat[:255], values.flat[255:257] = halves, (0, 1)
    program = """
        import { toBytes, toGrey, toInput } from "./pixels.js";
        const answer = ({ colours, values }) => [
          text(toGrey(bytes(colours))),
          text(toInput(bytes(colours), 3)),
          text(toBytes(new Float32Array(bytes(values).buffer), 3, 100, 120)),
        ];
    """
    given = [{"colours": encoded(colours), "values": encoded(values)}]
    ((grey, floats, pixels),) = evaluate(modules, program + _EACH, given)
    height, width, _ = colours.shape
    assert (decoded(grey, "u1", (height, width)) == np.asarray(Image.fromarray(colours).convert("L"))).all()
    assert (decoded(floats, "<f4", (1, 3, height, width)) == to_floats(colours[None])).all()
    assert (decoded(pixels, "u1", (1, 100, 120, 3)) == to_bytes(values[None])).all()


def test_safetensors_are_read_and_damaged_ones_refused_in_a_sentence(modules: Path) -> None:
    from safetensors.numpy import save

    tensors = {
        "bytes": np.arange(5, dtype=np.uint8),
        "floats": np.float32([[1.5, -0.0], [np.inf, 1e-40]]),
        "empty": np.zeros((0, 3), np.float32),
        "whole": np.array([[-(2**63), 2**63 - 1, 7]]),
    }
    whole = save(tensors, metadata={"by": "a test"})
    start = 8 + int.from_bytes(whole[:8], "little")

    def with_header(header: object) -> bytes:
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + whole[start:]

    header = json.loads(whole[8:start])
    damaged = [whole[:length] for length in range(len(whole))]
    damaged += [
        whole + b"\0",
        b"\xff" * 8 + whole[8:],
        whole[:8] + b"\xff" + whole[9:],
        with_header([]),
        with_header({}),
    ]
    for change in (
        {"dtype": "F16"},
        {"shape": [2]},
        {"shape": [-5]},
        {"shape": 5},
        {"data_offsets": [5]},
        {"dtype": 4},
    ):
        damaged.append(with_header({**header, "bytes": {**header["bytes"], **change}}))
    damaged.append(with_header({**header, "bytes": None}))
    damaged.append(with_header({**header, "bytes": {**header["bytes"], "data_offsets": [10**9, 10**9 + 5]}}))
    program = """
        import { parseSafetensors } from "./safetensors.js";
        const answer = (content) => {
          try {
            // Node's own kind of bytes too, which does not copy where others do.
            const tensors = [...parseSafetensors(Buffer.from(content, "base64"))];
            return tensors.map(([name, { dtype, shape, data }]) => [name, dtype, shape, text(data)]);
          } catch (error) {
            return `${error.constructor.name}: ${error.message}`;
          }
        };
    """
    found, *refused = evaluate(
        modules, program + _EACH, [base64.b64encode(each).decode() for each in [whole, *damaged]]
    )
    read = {name: decoded(text, dtype, tuple(shape)) for name, dtype, shape, text in found}
    assert read.keys() == tensors.keys()
    for name, array in tensors.items():
        assert read[name].dtype == array.dtype
        assert read[name].tobytes() == array.tobytes()
    for message in refused:
        assert message.startswith("Error: The safetensors file "), message
        assert message.endswith(".")
