"""The inputs of a job, listed: the images of a folder, or the rows of latents files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from aedeploy.bundle import Bundle
from aedeploy.errors import ConfigError, NothingToDoError
from aedeploy.images.folder import list_images
from aedeploy.jobs.latents import LatentsContract, is_latents, read_paths
from aedeploy.jobs.outputs import is_inside
from aedeploy.jobs.spec import Failure, Source

_NOT_UTF8 = "its name is not valid UTF-8: rename it"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a job has before it. Every file that was seen is in exactly one of the three."""

    root: Path
    sources: tuple[Source, ...]
    failures: tuple[Failure, ...]  # what is known already to give no output
    others: tuple[str, ...]  # files that are no inputs by their names


def image_inputs(path: Path) -> Inputs:
    """The images of a folder, or one image.

    Raises:
        ConfigError, NothingToDoError, OSError: see :func:`aedeploy.images.folder.list_images`.
    """
    listing = list_images(path)
    sources, failures = [], []
    for name in listing.images:
        try:
            if not _is_utf8(name):
                failures.append(Failure(path=_shown(name), reason=_NOT_UTF8))
                continue
            status = os.stat(f"{listing.root}/{name}")  # noqa: PTH116 - a million of them
            sources.append(Source(path=name, bytes=status.st_size, mtime_ns=status.st_mtime_ns, file=name))
        except OSError as error:
            failures.append(Failure(path=name, reason=f"it cannot be read: {error.strerror}"))
    return Inputs(
        root=listing.root, sources=tuple(sources), failures=tuple(failures), others=tuple(map(_shown, listing.others))
    )


def latents_inputs(path: Path, bundle: Bundle) -> Inputs:
    """The rows of a folder's latents files, or of one file, which the bundle's encoder must have made.

    Raises:
        ConfigError: there is no such file or folder, or the latents are of another bundle, or of another width.
        NothingToDoError: there are no latents in it.
    """
    if not path.exists():
        raise ConfigError(f"There is no file or folder {path}: name what  aedeploy encode  wrote.")
    root = path if path.is_dir() else path.parent
    names = sorted(filter(is_latents, os.listdir(path))) if path.is_dir() else [path.name]
    sources: list[Source] = []
    failures: list[Failure] = []
    for name in names:
        try:
            contract, paths = read_paths(root / name)
        except ConfigError as error:
            if path.is_file():
                raise
            failures.append(Failure(path=_shown(name), reason=_shown(str(error))))
            continue
        _check_maker(contract, bundle, root / name)
        status = (root / name).stat()
        for row, image in enumerate(paths):
            if not isinstance(image, str) or not is_inside(image):
                raise ConfigError(f"{root / name}: the path {image!r} in row {row} leads out of the output folder.")
            if not _is_utf8(image):
                failures.append(Failure(path=_shown(image), reason=_NOT_UTF8))
                continue
            sources.append(Source(path=image, bytes=status.st_size, mtime_ns=status.st_mtime_ns, file=name, row=row))
    if not sources and not failures:
        raise NothingToDoError(f"There are no latents in {path}: decode reads what  aedeploy encode  wrote.")
    if not sources:
        raise ConfigError(f"Nothing in {path} can be decoded, such as {failures[0].path}: {failures[0].reason}")
    return Inputs(root=root, sources=tuple(sources), failures=tuple(failures), others=())


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


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(name: str) -> str:
    """A name that may not be UTF-8, so that it can be printed."""
    try:
        octets = os.fsencode(name)
    except UnicodeEncodeError:  # half of a surrogate pair, which no file name has
        octets = name.encode("utf-8", "backslashreplace")
    return octets.decode("utf-8", "backslashreplace")
