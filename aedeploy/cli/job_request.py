"""The way from the options of a job's command to a JobRequest, and back to the words that ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from math import isfinite
from typing import TYPE_CHECKING, Any

from aedeploy.cli.job_options import SPOKEN, panels
from aedeploy.errors import ConfigError

if TYPE_CHECKING:
    from aedeploy.bundle import Bundle
    from aedeploy.jobs.request import JobRequest
    from aedeploy.jobs.spec import JobName


def auto_or_number(name: str, value: str) -> int | None:
    """What an option ``auto|N`` was given; None for auto."""
    if value == "auto":
        return None
    if not value.isdecimal():
        raise ConfigError(f"--{name.replace('_', '-')} takes a number, or auto: {value!r} is neither.")
    return int(value)


def auto_or_level(value: str) -> float | None:
    """What ``--sigma auto|N`` was given; None for auto."""
    if value == "auto":
        return None
    try:
        level = float(value)
        if isfinite(level):
            return level
    except ValueError:
        pass
    raise ConfigError(f"--sigma takes a number, in levels of 255, or auto: {value!r} is neither.")


def bundles_of(job: JobName, named: str | None) -> tuple[Bundle, Bundle | None]:
    """The bundle of a job, and the one that it has beside it for grey images, if any.

    Raises:
        BundleError: there is none.
    """
    from aedeploy.bundle.locate import find_bundle
    from aedeploy.bundle.shipped import COLOUR, GREY, shipped_bundle

    if job == "denoise" and named is None:
        return shipped_bundle(COLOUR), shipped_bundle(GREY)
    return find_bundle(named), None


def read_request(
    job: JobName, bundle: Bundle, options: Mapping[str, Any], grey_bundle: Bundle | None = None
) -> JobRequest:
    """What a command's options ask for.

    Raises:
        ConfigError: one of them is none of its values.
    """
    from aedeploy.images.write import ImageOptions
    from aedeploy.jobs.request import JobRequest
    from aedeploy.jobs.sources import Selection

    spoken = {option.name for option in SPOKEN} | {"dry_run", "bundle"}
    values = {name: value for name, value in options.items() if name not in spoken}
    values["selection"] = Selection(
        include=tuple(values.pop("include") or ()),
        exclude=tuple(values.pop("exclude") or ()),
        links=values.pop("links", "follow"),
    )
    if "image_format" in values:
        values["images"] = ImageOptions(
            format=values.pop("image_format"), quality=values.pop("quality"), compression=values.pop("compression")
        )
    for name in {"batch_size", "workers", "tile"} & set(values):
        values[name] = auto_or_number(name, values[name])
    if "sigma" in values:
        values["sigma"] = auto_or_level(values["sigma"])
    if values.get("max_pixels", 0) is None:
        del values["max_pixels"]
    values["part"] = _part(values["part"])
    return JobRequest(job=job, bundle=bundle, grey_bundle=grey_bundle, **values)


def _part(text: str | None) -> tuple[int, int]:
    if text is None:
        return 0, 1
    number, slash, of = text.partition("/")
    if not slash or not number.isdecimal() or not of.isdecimal():
        raise ConfigError(f"--shard is i/n, such as 0/8 for the first of eight processes: {text!r} is not.")
    return int(number), int(of)


def command_of(request: JobRequest) -> list[str]:
    """The words that ask for the same again, but for --overwrite: what is finished by then is to be kept."""
    source = str(request.source)
    if source.startswith("-") and source != "-":
        source = f"./{source}"
    words = ["aedeploy", request.job, source, "--out", str(request.output)]
    if request.grey_bundle is None:  # the two are what is taken where none is named
        words += ["--bundle", str(request.bundle.path)]
    return words + options_of(request)


def options_of(request: JobRequest) -> list[str]:
    """The options of a request that are not the usual ones, as they are typed."""
    words: list[str] = []
    typed = _typed(request)
    for options in panels(request.job).values():
        for option in options:
            value = typed.get(option.name, option.default)
            if option.name == "bundle" or value == option.default:
                continue
            for one in value if isinstance(value, list) else [value]:
                if one is True:
                    words.append(option.flag)
                elif str(one).startswith("-"):
                    words.append(f"{option.flag}={one}")
                else:
                    words += [option.flag, str(one)]
    return words


def _typed(request: JobRequest) -> dict[str, Any]:
    """A request as its options, but for those that are not said again."""
    from aedeploy.images.read import MAX_PIXELS

    values: dict[str, Any] = {field.name: getattr(request, field.name) for field in fields(request)}
    for name in ("overwrite", "bundle"):
        del values[name]
    for name in ("batch_size", "workers", "tile"):
        values[name] = "auto" if values[name] is None else str(values[name])
    values["sigma"] = "auto" if request.sigma is None else str(request.sigma).removesuffix(".0")
    values["include"] = list(request.selection.include) or None
    values["exclude"] = list(request.selection.exclude) or None
    values["links"] = request.selection.links
    values["image_format"] = request.images.format
    values["quality"] = request.images.quality
    values["compression"] = request.images.compression
    values["max_pixels"] = None if request.max_pixels == MAX_PIXELS else request.max_pixels
    number, of = request.part
    values["part"] = None if of == 1 else f"{number}/{of}"
    return values
