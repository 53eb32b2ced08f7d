"""Where outputs go. One module a kind: latents (parquet, npy, safetensors, tar), images (tree, tar).

class Sink
    files(number) → names                 what the commit of that shard writes, in the output folder
    write(chunk)                          what has a file of its own; an input whose file cannot be written fails
    commit(number, chunks) → Outputs      what the whole shard has together; on the disk when it returns
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aedeploy.jobs.chunk import Chunk
from aedeploy.jobs.spec import Output


class Sink(Protocol):
    """See above."""

    def files(self, number: int) -> tuple[str, ...]:
        """The names of what :meth:`commit` writes for that shard, relative to the output folder."""
        ...

    def write(self, chunk: Chunk) -> None:
        """Write what has a file of its own, and let its pixels go.

        Raises:
            OSError: the disk is full, or the folder cannot be written; what is written is whole.
        """
        ...

    def commit(self, number: int, chunks: Sequence[Chunk]) -> tuple[Output, ...]:
        """Write what the whole shard has together; all that the chunks wrote is on the disk when this returns.

        Raises:
            OSError: as above.
        """
        ...
