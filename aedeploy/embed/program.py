"""What a target is given of a bundle, and what targets have in common in writing it out."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from typing import Any

from aedeploy import __version__
from aedeploy.bundle import Bundle, GraphRecord
from aedeploy.embed.contract import Contract

README = "README.md"


@dataclass(frozen=True, kw_only=True)
class Program:
    """One program to be written: around which bundle, for which target, with which graphs."""

    target: str
    bundle: Bundle
    format: str
    graphs: tuple[GraphRecord, ...]  # in the order encoder, decoder, autoencoder; those that there are
    contract: Contract
    options: Mapping[str, Any] = field(default_factory=dict)  # of one target alone, such as the web's ``samples``
    say: Callable[[str], None] = lambda sentence: None  # tells the person who waits


def sources(*folders: str) -> dict[str, bytes]:
    """All files of those folders of ``sources/``, by their path in the program; of two of one path, the later's."""
    found: dict[str, bytes] = {}
    for folder in folders:
        found.update(_files(importlib.resources.files("aedeploy.embed").joinpath("sources", folder), ""))
    return found


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            if entry.name not in ("__pycache__", "node_modules", "build"):
                yield from _files(entry, f"{prefix}{entry.name}/")
        elif not entry.name.endswith(".pyc"):
            yield prefix + entry.name, entry.read_bytes()


def filled(text: bytes, program: Program) -> bytes:
    """A README's source with what it says of the bundle: ``@BUNDLE@`` and the like, see below."""
    contract = program.contract
    image, latent = contract["image"], contract["latent"]
    colour = "grey" if image["mode"] == "L" else "RGB"
    words = {
        "BUNDLE": _in_line(contract["bundle"]["name"]),
        "DIGEST": contract["bundle"]["digest"],
        "RECIPE": _in_line(contract["bundle"]["recipe"]),
        "SUMMARY": _in_line(contract["bundle"]["summary"]) or "A trained autoencoder",
        "IMAGE": f"{image['channels']} × {image['height']} × {image['width']}, {colour}",
        "LATENT": "none: the model cannot be cut" if latent is None else " × ".join(map(str, latent["shape"])),
        "MODE": image["mode"],
        "HEIGHT": str(image["height"]),
        "WIDTH": str(image["width"]),
        "FORMAT": program.format,
        "VERSION": __version__,
        "GRAPHS": _graphs(contract),
        "NOISE": _noise(program),
        "SIGMA": "" if contract["noise"] is None else ", 25",
        "SIGMA_OPTION": "" if contract["noise"] is None else " --sigma 25",
    }
    # All at once: what is put in is not looked through again.
    return re.sub(f"@({'|'.join(words)})@", lambda found: words[found[1]], text.decode()).encode()


def _noise(program: Program) -> str:
    """A paragraph, with the line before it; of a model that is told nothing, nothing."""
    noise = program.contract["noise"]
    if noise is None:
        return ""
    told = (
        "the page tells it how much of it it has added itself, and of an image without any, that there is none"
        if program.target == "web"
        else "`encode` and `reconstruct` ask for it, on the command line as `--sigma N`"
    )
    return (
        "\n\nThe model is told how much noise its images have: `sigma`, the noise's standard deviation in levels of "
        f"255, from 0 to {noise['maximum']:g}; {told}. The graphs take it as a map, a value for each pixel."
    )


def _in_line(text: str) -> str:
    """Somebody's own words where a line of Markdown goes on after them: no line, code or tag begins or ends in them."""
    words = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return words.replace("&", "&amp;").replace("<", "&lt;").replace("`", "'")


def _graphs(contract: Contract) -> str:
    rows = ["| graph | file | takes | gives |", "|---|---|---|---|"]
    for graph in contract["graphs"]:
        takes, gives = (", ".join(_described(spec) for spec in graph[side]) for side in ("inputs", "outputs"))
        rows.append(f"| {graph['role']} | `{graph['file']}` | {takes} | {gives} |")
    return "\n".join(rows)


def _described(spec: Mapping[str, Any]) -> str:
    return f"`{spec['name']}` {spec['dtype']} [{', '.join(map(str, spec['shape']))}]"
