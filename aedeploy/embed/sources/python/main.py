"""The model from the command line: self-test, encode, decode, reconstruct, conform. See README.md."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from autoencoder import FOLDER, Autoencoder, graph_of
from conform import serve
from contract import CONTRACT
from golden import self_test
from image_file import read_image, write_image


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("self-test", help="prove that this machine computes what PyTorch computed")
    encode = commands.add_parser("encode", help="print the latent of an image, as JSON")
    encode.add_argument("image")
    _add_sigma(encode)
    decode = commands.add_parser("decode", help="an image from what encode printed")
    decode.add_argument("latent")
    decode.add_argument("out")
    reconstruct = commands.add_parser("reconstruct", help="an image through the whole model")
    reconstruct.add_argument("image")
    reconstruct.add_argument("out")
    _add_sigma(reconstruct)
    commands.add_parser("conform", help="answer the requests of aedeploy conform")
    arguments = parser.parse_args()
    model = Autoencoder()
    try:
        if arguments.command == "self-test":
            return _self_test(model)
        if arguments.command == "encode":
            _require("encoder")
            outputs = model.encode(read_image(arguments.image), arguments.sigma)
            json.dump({name: array[0].tolist() for name, array in outputs.items()}, sys.stdout)
            print()
        elif arguments.command == "decode":
            _require("decoder")
            write_image(model.decode(_read_latent(arguments.latent))[0], arguments.out)
        elif arguments.command == "reconstruct":
            _require("autoencoder")
            write_image(model.reconstruct(read_image(arguments.image), arguments.sigma)[0], arguments.out)
        else:
            serve(model)
    except Exception as error:  # Pillow and onnxruntime raise nearly anything; a person wants one sentence
        print(f"Error: {_said(error)}", file=sys.stderr)
        return 1
    return 0


def _add_sigma(command: argparse.ArgumentParser) -> None:
    """Where the model takes it: to leave it out, or what is none, is wrong usage."""
    noise = CONTRACT["noise"]
    command.set_defaults(sigma=None)
    if noise is not None:
        about = f"the noise's standard deviation in levels of 255, from 0 to {noise['maximum']:g}"
        command.add_argument("--sigma", metavar="N", type=float, required=True, help=about)


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _self_test(model: Autoencoder) -> int:
    failed = 0
    for check in self_test(model, FOLDER):
        print(f"{'ok    ' if check.passed else 'FAILED'}  {check.subject}: {check.said}")
        failed += not check.passed
    print("every golden vector agrees" if not failed else f"{failed} checks failed: do not use this model here")
    return 1 if failed else 0


def _require(role: str) -> None:
    try:
        graph_of(role)
    except KeyError:
        raise ValueError(f"this model has no {role} graph") from None


def _read_latent(path: str) -> np.ndarray:
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is not JSON: give it what encode printed") from None
    want = CONTRACT["latent"]["shape"]
    refusal = ValueError(f"{path} holds no latent of this model: nested lists of finite numbers, {want}, are due")
    try:
        latent = np.asarray(values.get("latent") if isinstance(values, dict) else values)
    except ValueError:  # lists of different lengths
        raise refusal from None
    if list(latent.shape) != want or latent.dtype.kind not in "if":
        raise refusal
    if not (np.abs(latent) <= np.finfo(np.float32).max).all():
        raise refusal
    return latent[np.newaxis].astype(np.float32)


if __name__ == "__main__":
    sys.exit(main())
