"""What there is to do; and every reason not to begin, before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from aedeploy.bundle import Bundle
from aedeploy.errors import ConfigError, NothingToDoError
from aedeploy.images.read import EXTENSIONS
from aedeploy.jobs.calibration import Calibration, calibrate
from aedeploy.jobs.cut import Cutter, Seen
from aedeploy.jobs.earlier import check_same, earlier_record, free_numbers_of, shards_there
from aedeploy.jobs.guard import Guard
from aedeploy.jobs.known import Known
from aedeploy.jobs.ledger import OWN_FOLDER, Record, ledger_state
from aedeploy.jobs.outputs import check_folders
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.shard import JOBS, Work, open_work
from aedeploy.jobs.sources import Group, find_origin, list_inputs, load_source
from aedeploy.jobs.spec import GreyModel, Origin, Scoring, Settings, Source
from aedeploy.runtime.codec import Codec, auto_batch_size, image_geometry
from aedeploy.runtime.cores import available_cores
from aedeploy.runtime.open import Engine, choose_engine

#: Kinds of sources that are files of this machine.
_LOCAL = ("folder", "files", "latents")


@dataclass(kw_only=True)
class Plan:
    """A job, ready to run, once."""

    request: JobRequest
    settings: Settings
    workers: int  # 0: as many as the cluster has
    work: Work
    cutter: Cutter
    record: Record | None  # of earlier runs, also where --overwrite is not to go on from it
    kept: set[int]  # numbers of earlier shards whose outputs are there
    ledger: tuple[int, int] | None  # as it was before it was read
    calibration: Calibration | None  # where the threshold of the scores comes from

    @property
    def seen(self) -> Seen:
        """What the listing came to so far."""
        return self.cutter.seen

    @property
    def denoising(self) -> dict[str, Any] | None:
        """What ``denoise`` does: ``sigma``, a number or "auto", or None of a model that is not told; ``strength``;
        ``compare``; ``grey_bundle``, the name of the one for grey images, or None. None of other jobs."""
        if self.settings.denoising is None:
            return None
        values = asdict(self.settings.denoising)
        if values["sigma"] is None and self.request.bundle.manifest.noise is not None:
            values["sigma"] = "auto"
        grey = self.request.grey_bundle
        return values | {"grey_bundle": grey and grey.name}


def _refuse(reason: str) -> None:
    raise ConfigError(reason)


def plan_job(request: JobRequest, refuse: Callable[[str], None] = _refuse) -> Plan:
    """Find the inputs, hold the first of them against what is done, and open the graph. Nothing is written.

    ``refuse`` is told what is wrong with the inputs; where it does not raise, these are failures of the job.

    Raises:
        ConfigError: the input does not exist, the output folder is in it or holds other files, two inputs would
            write one file, or an input, the bundle or a setting changed since an earlier run in that folder.
        NothingToDoError: nothing matched the input.
        BundleError, BackendError, MissingDependencyError: the graph cannot run, or the input cannot be read here.
        JobError: the ledger of the earlier run cannot be read.
    """
    text = str(request.source)
    origin: Origin = load_source("latents").find(text) if request.job == "decode" else find_origin(text)
    if origin.kind in _LOCAL:
        check_folders(Path(origin.location), request.output)
    settings = _settings(request, origin)
    ledger = ledger_state(request.output, request.part)
    earlier = earlier_record(request)
    record = None if request.overwrite else earlier
    if settings.any_size:
        settings = _tiled(settings, request, record)
    calibration = None
    if request.calibrate is not None and settings.scoring is not None:
        calibration = calibrate(request, settings)
        scoring = replace(settings.scoring, threshold=calibration.threshold, quantile=calibration.quantile)
        settings = replace(settings, scoring=scoring)
    if record is not None:
        check_same(record, settings, request)
    kept = set(dict(shards_there(record, request.output))) if record else set()
    work = open_work(settings)
    cutter = Cutter(
        settings=settings,
        groups=_listing(request, origin),
        known=Known(record),
        kept=kept,
        numbers=free_numbers_of(work.sink, request, earlier),
        part=request.part,
        shard_images=work.shard_images,
        batch_size=request.batch_size,
        most_images=auto_batch_size(image_geometry(request.bundle)),
        guard=_guard(settings),
    )
    cutter.look_ahead(refuse)
    if cutter.found_nothing:
        raise _nothing(request, cutter)
    return Plan(
        request=request,
        settings=settings,
        workers=request.workers or (0 if request.engine == "ray" else available_cores()),
        work=work,
        cutter=cutter,
        record=earlier,
        kept=kept,
        ledger=ledger,
        calibration=calibration,
    )


def _listing(request: JobRequest, origin: Origin) -> Iterator[Group]:
    if origin.kind == "latents":
        groups: Iterator[Group] = load_source("latents").listing(origin, request.selection, request.bundle)
        return groups
    return list_inputs(origin, request.selection)


def _guard(settings: Settings) -> Callable[[Sequence[Source]], None]:
    """What looks at some more inputs before an output of them is written: none may land among the inputs."""
    if not settings.writes_images or settings.origin.kind not in _LOCAL:
        return lambda sources: None
    return Guard(Path(settings.origin.location), Path(settings.output)).look


def _settings(request: JobRequest, origin: Origin) -> Settings:
    bundle = request.bundle
    engine = choose_engine(bundle, backend=request.backend, format=request.model_format, pixels=request.pixels)
    any_size = (
        request.job in ("reconstruct", "denoise")
        and bundle.manifest.image.dynamic_size
        and request.size == "original"
        and request.resize == "exact"
    )
    if request.tile is not None and not any_size:
        raise ConfigError(
            "--tile is for models that take images of any size, whole: "
            + ("leave out --size and --resize." if bundle.manifest.image.dynamic_size else f"{bundle.name!r} does not.")
        )
    if any_size and request.decode == "scaled":
        raise ConfigError(
            "--decode scaled is for images that are brought to a model's size, and these go through at their own: "
            "leave it out."
        )
    if request.score and request.job != "reconstruct":
        raise ConfigError(f"--score is an option of reconstruct, not of {request.job}.")
    if request.sigma is not None:
        _check_sigma(request.sigma, bundle, *([request.grey_bundle] if request.grey_bundle else []))
    number, of = request.part
    return Settings(
        job=request.job,
        origin=origin,
        output=str(request.output),
        bundle=str(bundle.path),
        bundle_digest=bundle.manifest.digest,
        graph_sha256=_graph_sha256(request, bundle, engine),
        backend=engine.backend,
        model_format=engine.format,
        pixels=engine.pixels,
        device=request.device,
        allow_failed=request.allow_failed,
        reading=request.reading,
        latent_format=request.latent_format,
        latent_dtype=request.latent_dtype,
        images=request.images,
        container=request.container,
        size=request.size,
        names=request.names,
        any_size=any_size,
        tile=request.tile,
        scratch=str(request.output / OWN_FOLDER / f"partial-{number}-of-{of}"),
        scoring=Scoring(heatmaps=request.heatmaps) if request.score else None,
        denoising=request.denoising if request.job == "denoise" else None,
        grey=_grey_model(request, request.grey_bundle, engine, any_size) if request.grey_bundle else None,
    )


def _graph_sha256(request: JobRequest, bundle: Bundle, engine: Engine) -> str | None:
    if engine.format is None:
        return None
    role = JOBS[request.job].ROLE
    return bundle.graph(role, engine.format, engine.pixels, allow_failed=request.allow_failed).file.sha256


def _grey_model(request: JobRequest, grey: Bundle, engine: Engine, any_size: bool) -> GreyModel:
    """The model for images of one channel, beside the one for colours."""
    if not any_size:
        raise ConfigError(
            "--size model and --resize bring images to the size of one model, and grey ones have another here: "
            "name one with --bundle."
        )
    modes = [bundle.manifest.image.mode for bundle in (request.bundle, grey)]
    if modes != ["RGB", "L"] or not grey.manifest.image.dynamic_size:
        raise ConfigError(
            f"Bundle {grey.name!r} is to denoise grey images of any size, and {request.bundle.name!r} those in "
            "colours: name one with --bundle for all."
        )
    return GreyModel(
        bundle=str(grey.path),
        bundle_digest=grey.manifest.digest,
        graph_sha256=_graph_sha256(request, grey, engine),
    )


def _check_sigma(sigma: float, *bundles: Bundle) -> None:
    for bundle in bundles:
        noise = bundle.manifest.noise
        if noise is None:
            raise ConfigError(
                f"The model of bundle {bundle.name!r} is not told how much noise there is: leave out --sigma."
            )
        if not 0 <= sigma <= noise.maximum:
            raise ConfigError(
                f"--sigma is the noise's standard deviation in levels of 255, from 0 to {noise.maximum:g} for bundle "
                f"{bundle.name!r}, or auto: {sigma:g} is not."
            )


def _tiled(settings: Settings, request: JobRequest, record: Record | None) -> Settings:
    """With the side of tiles settled, so that it is the same in every worker; after a resume, as it was begun with."""
    from aedeploy.runtime.full_size import require_tiles, usual_tile

    bundles = [request.bundle, *([request.grey_bundle] if request.grey_bundle else [])]
    codecs = [
        Codec(bundle, backend=settings.backend, format=settings.model_format, device=settings.device)
        for bundle in bundles
    ]
    if request.tile is not None:
        for codec in codecs:
            require_tiles(codec)
    if settings.tile is None and record is not None:
        settings = replace(settings, tile=record.fingerprint.get("tile"))
    if settings.tile is None:
        tile = min(usual_tile(codec, workers=request.workers or available_cores()) for codec in codecs)
        if request.part[1] > 1:  # each would choose by the memory of its own machine
            raise ConfigError(f"--shard needs --tile for a model that takes any size: here  --tile {tile}  fits.")
        settings = replace(settings, tile=tile)
    return settings


def _nothing(request: JobRequest, cutter: Cutter) -> NothingToDoError:
    for _ in cutter.shards():
        pass
    seen = cutter.seen
    if request.job == "decode":
        return NothingToDoError(f"There are no latents in {request.source}: decode reads what  aedeploy encode  wrote.")
    what = f"{seen.others:,} other files, such as {min(seen.other_names)}" if seen.others else "it is empty"
    if request.selection.include or request.selection.exclude:
        return NothingToDoError(f"No image in {request.source} is left by --include and --exclude ({what}).")
    known = ", ".join(sorted(EXTENSIONS))
    return NothingToDoError(f"There is no image in {request.source} ({what}): known are {known}.")
