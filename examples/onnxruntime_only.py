"""A bundle without aedeploy: an image to its latent and back, with onnxruntime, numpy and Pillow alone.

    python examples/onnxruntime_only.py artifacts/digits-ae photo.png

Before anything else it proves itself on the bundle's golden vectors. Another language does the same three things:
read the manifest, carry out its image contract, call the graph. docs/bundle.md is the specification.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def golden_tensors(path: Path) -> dict[str, np.ndarray]:
    """Read a safetensors file: a length, a JSON header, and the tensors' bytes."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    dtypes = {"F32": "<f4", "I64": "<i8", "U8": "u1"}
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = (start + offset for offset in entry["data_offsets"])
            flat = np.frombuffer(content[begin:end], dtypes[entry["dtype"]])
            tensors[name] = flat.reshape(entry["shape"])
    return tensors


def image_input(path: Path, contract: dict) -> np.ndarray:
    """The ``image`` input of one file: float32 [1, C, H, W] in [0, 1], by the manifest's image contract."""
    image = ImageOps.exif_transpose(Image.open(path)).convert(contract["mode"])
    if image.size != (contract["width"], contract["height"]):
        image = image.resize((contract["width"], contract["height"]), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8).reshape(contract["height"], contract["width"], -1)
    return pixels.transpose(2, 0, 1)[np.newaxis].astype(np.float32) / np.float32(255)


def main(bundle: Path, photo: Path) -> None:
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    files = {graph["role"]: graph["file"]["path"] for graph in manifest["graphs"] if graph["format"] == "onnx"}
    encoder, decoder = (onnxruntime.InferenceSession(bundle / files[role]) for role in ("encoder", "decoder"))

    golden = golden_tensors(bundle / manifest["golden"]["path"])
    latent = encoder.run(["latent"], {"image": golden["encoder/3/image"]})[0]
    error = float(np.abs(latent - golden["encoder/3/latent"]).max())
    if not error <= 1e-5 + 1e-5 * float(np.abs(golden["encoder/3/latent"]).max()):
        sys.exit(f"This runtime does not compute what PyTorch computed: the latent is off by {error:.1e}.")
    print(f"golden vectors agree: the largest error is {error:.1e}")

    latent = encoder.run(["latent"], {"image": image_input(photo, manifest["image"])})[0]
    first = ", ".join(f"{value:.3f}" for value in latent.ravel()[:4])
    print(f"{photo.name}: latent of shape {list(latent.shape[1:])}, beginning {first}")
    image = decoder.run(["image"], {"latent": latent})[0]
    pixels = np.rint(image[0].transpose(1, 2, 0) * 255).astype(np.uint8)
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save("reconstruction.png")
    print("wrote reconstruction.png")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
