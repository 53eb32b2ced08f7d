"""The job ``denoise``: ``reconstruct``, by a model that was trained to give clean images back."""

from __future__ import annotations

from aedeploy.jobs import reconstruct
from aedeploy.jobs.spec import Settings
from aedeploy.runtime.codec import Codec

ROLE = reconstruct.ROLE


class Work(reconstruct.Work):
    """See jobs/shard.py."""

    def __init__(self, settings: Settings, codec: Codec) -> None:
        codec.require_denoising()
        super().__init__(settings, codec)
