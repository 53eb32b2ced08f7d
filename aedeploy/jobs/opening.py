"""The models of a job, opened as its settings say."""

from __future__ import annotations

from aedeploy.bundle import open_bundle
from aedeploy.errors import JobError
from aedeploy.jobs.spec import Settings
from aedeploy.runtime.codec import Codec


def open_codec(settings: Settings, folder: str, digest: str) -> Codec:
    """The model of a bundle that a job was planned with; its graphs are opened when they are first needed.

    Raises:
        BundleError, BackendError, ConfigError, MissingDependencyError: it cannot run.
        JobError: another bundle is there by now.
    """
    bundle = open_bundle(folder)
    if bundle.manifest.digest != digest:
        raise JobError(f"The bundle in {folder} was replaced while the job ran: start it again.")
    return Codec(
        bundle,
        backend=settings.backend,
        format=settings.model_format,
        pixels=settings.pixels if settings.model_format else None,
        device=settings.device,
        # One each: the job's own threads are what keeps the cores busy, and results do not depend on their number.
        threads=1,
        allow_failed=settings.allow_failed,
    )
