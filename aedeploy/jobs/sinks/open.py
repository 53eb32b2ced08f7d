"""Which sink an image job has."""

from __future__ import annotations

from aedeploy.jobs.sinks import Sink
from aedeploy.jobs.sinks.tar import TarSink
from aedeploy.jobs.sinks.tree import TreeSink
from aedeploy.jobs.spec import Settings

#: Images of one line of the ledger, about: each is a file of its own, so that nothing is gained by more.
SHARD_IMAGES = 256


def open_image_sink(settings: Settings) -> Sink:
    """What writes the images of a job."""
    return TarSink(settings) if settings.container == "tar" else TreeSink(settings)
