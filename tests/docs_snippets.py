"""The programs of docs/sinks.md, and what they print: ``python tests/docs_snippets.py`` runs them and writes that down.

A ``python`` block is a program of its own, run in a folder that has what jobs wrote; the ``text`` block after it is its
output, word for word.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from sink_rows import chunk_of, job_settings
from tiny_bundle import write_tiny_bundle

from aedeploy.data import digits
from aedeploy.jobs.chunk import Chunk
from aedeploy.jobs.latents import LatentsContract
from aedeploy.jobs.sinks import Sink
from aedeploy.jobs.sinks.latents import LatentsSink
from aedeploy.jobs.sinks.tar import TarSink
from aedeploy.jobs.sinks.tree import TreeSink
from aedeploy.runtime.codec import Codec

PAGE = Path(__file__).resolve().parents[1] / "docs" / "sinks.md"

_SNIPPET = re.compile(r"```python\n(?P<program>.*?)```\n\n```text\n(?P<output>.*?)```\n", re.DOTALL)
_IMAGES = 200


@dataclass(frozen=True)
class Snippet:
    """A program of a page, and what the page says that it prints."""

    program: str
    output: str

    @property
    def name(self) -> str:
        """What it imports first that is not Python's own."""
        return next((name for name in self.imports if name not in sys.stdlib_module_names), "python")

    @property
    def imports(self) -> list[str]:
        nodes = [node for node in ast.walk(ast.parse(self.program)) if isinstance(node, ast.Import | ast.ImportFrom)]
        names = [node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name for node in nodes]
        return [name.partition(".")[0] for name in names]

    @property
    def missing(self) -> list[str]:
        """What it imports and is not installed."""
        return [name for name in self.imports if importlib.util.find_spec(name) is None]

    def run(self, folder: Path) -> str:
        """What it prints in ``folder``."""
        done = subprocess.run(
            [sys.executable, "-X", "utf8", "-c", self.program], cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise AssertionError(f"A program of {PAGE.name} ends with an error:\n{self.program}\n{done.stderr}")
        return done.stdout


def snippets(text: str) -> list[Snippet]:
    """The programs of a page that have an output, in order."""
    return [Snippet(found["program"], found["output"]) for found in _SNIPPET.finditer(text)]


def prepare(folder: Path) -> None:
    """Write what the page's programs read: 200 digits as PNGs, their latents in every format, and images."""
    images = digits().held_out[:_IMAGES]
    paths = [f"{number // 100}/{number:05d}.png" for number in range(_IMAGES)]
    for path, image in zip(paths, images, strict=True):
        (folder / "digits" / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(folder / "digits" / path)
    bundle = write_tiny_bundle(folder / "low-pass", size=28, gaussian=True)
    codec = Codec(bundle)
    arrays = codec.encode_all(images)
    contract = LatentsContract(
        bundle=bundle.name,
        bundle_digest=bundle.manifest.digest,
        graph_format=codec.graph_format,
        shapes={name: list(array.shape[1:]) for name, array in arrays.items()},
        reading={"decode": "full", "resize": "exact"},
    )
    kinds = [("parquet", "float32", "latents"), ("parquet", "float16", "latents-half")]
    kinds += [(format, "float32", f"latents-{format}") for format in ("npy", "safetensors", "tar")]
    for format, dtype, name in kinds:
        settings = job_settings(folder / name, "encode", latent_format=format, latent_dtype=dtype)
        _ledger(folder / name)
        sink = LatentsSink(settings, contract)
        # Two shards, as of a job of many images.
        for number in range(2):
            part = slice(number * 100, number * 100 + 100)
            _commit(sink, number, chunk_of(paths[part], **{key: array[part] for key, array in arrays.items()}))
    decoded = codec.decode(arrays["latent"])
    for container, kind in (("tree", TreeSink), ("tar", TarSink)):
        _ledger(folder / f"images-{container}")
        chunk = chunk_of(paths)
        for row, pixels in zip(chunk.rows, decoded, strict=True):
            row.image = pixels
        _commit(kind(job_settings(folder / f"images-{container}", "decode", container=container)), 0, chunk)


def _ledger(folder: Path) -> None:
    """As every output folder has it: readers of a whole folder must pass over it."""
    (folder / ".aedeploy").mkdir(parents=True)
    (folder / ".aedeploy" / "ledger.jsonl").write_bytes(b"{}\n")


def _commit(sink: Sink, number: int, chunk: Chunk) -> None:
    sink.write(chunk)
    sink.commit(number, [chunk])


def rewritten(text: str, folder: Path) -> str:
    """The page with the outputs that its programs have now. What is not installed keeps the output it had."""
    for snippet in snippets(text):
        if snippet.missing:
            sys.stderr.write(f"left as it was: {snippet.name}, since {', '.join(snippet.missing)} is not installed\n")
            continue
        now = replace(snippet, output=snippet.run(folder))
        text = text.replace(_blocks(snippet), _blocks(now))
    return text


def _blocks(snippet: Snippet) -> str:
    return f"```python\n{snippet.program}```\n\n```text\n{snippet.output}```\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        prepare(Path(temporary))
        PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8"), Path(temporary)), encoding="utf-8")
