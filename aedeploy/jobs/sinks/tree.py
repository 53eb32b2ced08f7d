"""Images as files: one an input, in a tree that mirrors the input's."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aedeploy.errors import ImageError
from aedeploy.files import sync_file, write_bytes
from aedeploy.jobs.chunk import Chunk, Row
from aedeploy.jobs.outputs import image_output, scratch_of
from aedeploy.jobs.sinks._encoded import encoded
from aedeploy.jobs.spec import Output, Settings

# A disk that is asked for many at once does them in one go: 256 files took 1.0 s one by one, and 0.04 s so.
_SYNCS_AT_ONCE = 16

# What is wrong with one name, and not with the disk or the folder.
_OF_THE_NAME = {errno.ENAMETOOLONG, errno.EILSEQ, errno.EISDIR, errno.ENOTDIR, errno.EEXIST}


class TreeSink:
    """See jobs/sinks/__init__.py. The images are on the disk for sure only after the commit: a sync for each would
    take longer than all the rest.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def files(self, number: int) -> tuple[str, ...]:
        return ()

    def write(self, chunk: Chunk) -> None:
        """Write every row's ``image``, and let its pixels go."""
        reasons: dict[int, str] = {}
        scratch = scratch_of(self._settings)
        for row in chunk.rows:
            try:
                _write(self._path(row), encoded(row, self._settings.images), scratch)
            except ImageError as error:
                reasons[id(row)] = str(error)
            except OSError as error:
                if error.errno not in _OF_THE_NAME:
                    raise
                reasons[id(row)] = f"its output cannot be written: {error.strerror}"
            row.image = row.alpha = None
        chunk.keep((id(row) not in reasons for row in chunk.rows), lambda row: reasons[id(row)])

    def commit(self, number: int, chunks: Sequence[Chunk]) -> tuple[Output, ...]:
        with ThreadPoolExecutor(_SYNCS_AT_ONCE) as threads:
            list(threads.map(sync_file, [self._path(row) for chunk in chunks for row in chunk.rows]))
        return ()

    def _path(self, row: Row) -> Path:
        settings = self._settings
        return Path(settings.output, image_output(row.source.path, settings.names, settings.images.extension))


def _write(path: Path, content: bytes, scratch: Path | None) -> None:
    try:
        write_bytes(path, content, sync=False, scratch=scratch)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content, sync=False, scratch=scratch)
