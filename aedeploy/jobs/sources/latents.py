"""The rows of latents files, which are the inputs of ``decode``. Not asked by its looks: the job decides.

The path of a row is that of the image it was made of; its file is absolute, and read by jobs/latents. Rows of one
file follow one another in their order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from aedeploy.bundle import Bundle
from aedeploy.errors import ConfigError, NothingToDoError
from aedeploy.jobs.latents import LatentsContract, is_latents, read_paths
from aedeploy.jobs.outputs import is_inside
from aedeploy.jobs.sources import Group, Selection
from aedeploy.jobs.sources._choice import NOT_UTF8, Choice, is_utf8, shown
from aedeploy.jobs.sources._gathering import Gathering
from aedeploy.jobs.spec import Origin, Source


def find(text: str) -> Origin:
    """A folder of latents files, or one of them.

    Raises:
        ConfigError: there is neither.
    """
    if not Path(text).exists():
        raise ConfigError(f"There is no file or folder {shown(text)}: name what  aedeploy encode  wrote.")
    return Origin(kind="latents", location=os.path.abspath(text))  # noqa: PTH100 - links stay as they are


def listing(origin: Origin, selection: Selection, bundle: Bundle) -> Iterator[Group]:
    """The rows of all files, of which the bundle's encoder must have made every one; one file is held at a time.

    A file that is damaged is a failure of its own, unless nothing else is there.

    Raises:
        ConfigError: the latents are of another bundle or of another shape, or none of the files can be read.
        NothingToDoError: there are no latents.
        OSError: the folder cannot be listed.
    """
    place, choice, gathered, any_row = Path(origin.location), Choice(selection), Gathering(), False
    files = sorted(map(place.joinpath, filter(is_latents, os.listdir(place)))) if place.is_dir() else [place]
    if not files:
        raise NothingToDoError(f"There are no latents in {place}: decode reads what  aedeploy encode  wrote.")
    for file in files:
        try:
            contract, paths = read_paths(file)
        except ConfigError as error:
            if len(files) == 1:
                raise
            gathered.fail(shown(file.name), shown(str(error)))
            continue
        _check_maker(contract, bundle, file)
        size, stamp = _state(file)
        for row, path in enumerate(paths):
            if not isinstance(path, str) or not is_inside(path):
                raise ConfigError(f"{file}: the path {path!r} in row {row} leads out of the output folder.")
            if not is_utf8(path):
                gathered.fail(shown(path), NOT_UTF8)
            elif not choice.selects(path):
                gathered.others.append(path)
            else:
                gathered.add(Source(path=path, bytes=size, stamp=stamp, file=str(file), row=row))
            if gathered.full:
                any_row = True
                yield gathered.taken()
    if gathered.failures and not (any_row or gathered.sources or gathered.others):
        first = gathered.failures[0]
        raise ConfigError(f"Nothing in {place} can be decoded, such as {first.path}: {first.reason}")
    yield gathered.taken(closed=not any_row)


def _state(file: Path) -> tuple[int, int]:
    """Bytes and time of a file; of the index of a .npy, those of both."""
    status = file.stat()
    if file.suffix not in (".json", ".npy"):
        return status.st_size, status.st_mtime_ns
    other = file.with_suffix(".npy" if file.suffix == ".json" else ".json").stat()
    return status.st_size + other.st_size, max(status.st_mtime_ns, other.st_mtime_ns)


def _check_maker(contract: LatentsContract, bundle: Bundle, path: Path) -> None:
    if contract.bundle_digest != bundle.manifest.digest:
        raise ConfigError(
            f"{path} was encoded by another bundle ({contract.bundle}, {contract.bundle_digest[:12]}), and "
            f"{bundle.name} ({bundle.manifest.digest[:12]}) cannot decode it: name its own with --bundle."
        )
    want = bundle.manifest.latent.shape if bundle.manifest.latent else ()
    have = tuple(contract.shapes["latent"])
    if len(want) != len(have) or any(isinstance(dim, int) and dim != got for dim, got in zip(want, have, strict=True)):
        raise ConfigError(f"{path} has latents of shape {list(have)}, and {bundle.name} decodes {list(want)}.")
