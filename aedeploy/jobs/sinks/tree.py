"""Images as files: one an input, in a tree that mirrors the input's."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from aedeploy.errors import ImageError
from aedeploy.files import place_bytes, sync_file
from aedeploy.jobs.chunk import Chunk, Row
from aedeploy.jobs.outputs import image_output
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
        self._extension = settings.images.extension

    def files(self, number: int) -> tuple[str, ...]:
        return ()

    def write(self, chunk: Chunk) -> None:
        """Write every row's ``image``, and let its pixels go."""
        reasons: dict[int, str] = {}
        for row in chunk.rows:
            try:
                self._place(self._path(row), encoded(row, self._settings.images))
            except ImageError as error:
                reasons[id(row)] = str(error)
            except OSError as error:
                if error.errno not in _OF_THE_NAME:
                    raise
                reasons[id(row)] = f"its output cannot be written: {error.strerror}"
            row.image = row.alpha = None
        chunk.keep((id(row) not in reasons for row in chunk.rows), lambda row: reasons[id(row)])

    def commit(self, number: int, chunks: Sequence[Chunk]) -> tuple[Output, ...]:
        paths = [self._path(row) for chunk in chunks for row in chunk.rows]
        with ThreadPoolExecutor(_SYNCS_AT_ONCE) as threads:
            list(threads.map(_sync, (paths[start::_SYNCS_AT_ONCE] for start in range(_SYNCS_AT_ONCE))))
        return ()

    # Of paths as text: pathlib would take as long as the encoding of a small image.

    def _path(self, row: Row) -> str:
        settings = self._settings
        return f"{settings.output}/{image_output(row.source.path, settings.names, self._extension)}"

    def _place(self, path: str, content: bytes) -> None:
        folder = os.path.dirname(path)  # noqa: PTH120 - as above
        try:
            place_bytes(path, content, self._settings.scratch or folder)
        except FileNotFoundError:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - as above
            place_bytes(path, content, self._settings.scratch or folder)


def _sync(paths: Sequence[str]) -> None:
    for path in paths:
        sync_file(path)
