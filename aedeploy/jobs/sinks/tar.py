"""Images in tar archives: one a shard, images-00000.tar, as WebDataset reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aedeploy.errors import ImageError
from aedeploy.files import replacing
from aedeploy.jobs.chunk import Chunk
from aedeploy.jobs.outputs import image_output, scratch_of
from aedeploy.jobs.sinks._encoded import encoded
from aedeploy.jobs.spec import Output, Settings
from aedeploy.jobs.tarball import add_member, new_tar


def images_file(number: int) -> str:
    """The archive of a shard."""
    return f"images-{number:05d}.tar"


class TarSink:
    """See jobs/sinks/__init__.py. Members are named as the files of a tree would be, in the order of the rows."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def files(self, number: int) -> tuple[str, ...]:
        return (images_file(number),)

    def write(self, chunk: Chunk) -> None:
        """Encode every row's ``image``, and let its pixels go: what waits for the commit is small."""
        reasons: dict[int, str] = {}
        for row in chunk.rows:
            try:
                row.content = encoded(row, self._settings.images)
            except ImageError as error:
                reasons[id(row)] = str(error)
            row.image = row.alpha = None
        chunk.keep((id(row) not in reasons for row in chunk.rows), lambda row: reasons[id(row)])

    def commit(self, number: int, chunks: Sequence[Chunk]) -> tuple[Output, ...]:
        rows = [row for chunk in chunks for row in chunk.rows]
        if not rows:
            return ()
        settings, (name,) = self._settings, self.files(number)
        path = Path(settings.output, name)
        with replacing(path, scratch=scratch_of(settings)) as partial, new_tar(partial) as archive:
            for row in rows:
                assert row.content is not None
                member = image_output(row.source.path, settings.names, settings.images.extension)
                add_member(archive, member, row.content)
                row.content = None
        return (Output(file=name, bytes=path.stat().st_size),)
