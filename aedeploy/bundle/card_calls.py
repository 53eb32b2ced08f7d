"""Of a model card: the lines that call the model, ready to be copied."""

from __future__ import annotations

import shlex

from aedeploy.bundle.manifest import SIGMA, ImageContract, Manifest
from aedeploy.bundle.shipped import shipped_names


def how_to_call(manifest: Manifest) -> str:
    """The section of the commands, of Python, and of graphs alone."""
    name = shlex.quote(manifest.name)
    job = _job(manifest)
    first = "" if manifest.graphs else f"aedeploy export {name} --format onnx\n"
    latents = f"aedeploy encode photos/ --out latents/ --bundle {name}\n"
    latents += f"aedeploy decode latents/ --out images/ --bundle {name}\n"
    if manifest.latent is None:
        latents = ""
    # One that came with the package is found from anywhere.
    where = manifest.name if manifest.name in shipped_names() else f"artifacts/{manifest.name}"
    parts = [
        "## How to call it",
        f"```sh\n{first}{latents}aedeploy {job} photos/ --out images/ --bundle {name}\n```",
        f'```python\nimport aedeploy\n\nae = aedeploy.load("{where}")\n{_calls(manifest)}\n```',
        *_alone(manifest),
        "In any other language: open a graph below with its runtime; `golden.safetensors` holds inputs and outputs to "
        "prove it with (`<role>/<batch>/<tensor>`), `bundle.json` the contract in full.",
    ]
    return "\n\n".join(parts)


def _job(manifest: Manifest) -> str:
    return "denoise" if manifest.denoises else "reconstruct"


def _calls(manifest: Manifest) -> str:
    lines = []
    if manifest.latent is not None:
        lines += [
            "latents = ae.encode(images)  # paths, PIL images or uint8 [N, H, W, C]",
            "pixels = ae.decode(latents)  # uint8 [N, H, W, C]",
        ]
    if manifest.denoises and manifest.image.dynamic_size:
        lines.append(
            'clean = ae.denoise_image("photo.jpg")  # or a PIL image or an array; uint8 [H, W, C], its own size'
        )
        if manifest.noise:
            lines.append(
                'clean = ae.denoise_image("photo.jpg", sigma=25, strength=0.8)  # told how much; a fifth stays'
            )
    elif manifest.latent is None:
        lines.append(
            f"pixels = ae.{_job(manifest)}(images)  # paths, PIL images or uint8 [N, H, W, C]; gives the latter"
        )
    return "\n".join(lines)


def _alone(manifest: Manifest) -> list[str]:
    """How the graph of a model that is told the noise is called without aedeploy: it has two inputs."""
    graph = manifest.graph("autoencoder", "onnx")
    if graph is None or manifest.noise is None:
        return []
    program = f"```python\n{_program(manifest.image, graph.file.path)}\n```"
    return [f"Or the graph alone, by onnxruntime, in the bundle's folder:\n\n{program}"]


def _program(image: ImageContract, graph: str) -> str:
    if image.dynamic_size:
        multiple = image.multiple_of
        width, height = (f"photo.{side} // {multiple} * {multiple}" for side in ("width", "height"))
        sized = f"photo = photo.crop((0, 0, {width}, {height}))"
    else:
        sized = f"photo = photo.resize(({image.width}, {image.height}))"
    channels = "[:, :, None]" if image.channels == 1 else ""
    return f"""import numpy as np, onnxruntime
from PIL import Image

photo = Image.open("photo.jpg").convert("{image.mode}")
{sized}
pixels = np.asarray(photo, np.float32){channels} / 255
image = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
{SIGMA} = np.full((1, 1, *image.shape[2:]), 25, np.float32)  # levels of 255
session = onnxruntime.InferenceSession("{graph}", providers=["CPUExecutionProvider"])
(clean,) = session.run(None, {{"image": image, "{SIGMA}": {SIGMA}}})  # float32, of the shape of image"""
