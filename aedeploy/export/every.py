"""Every variant of a bundle that can be exported here, in a copy: to be measured, and thrown away."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from aedeploy.bench.contenders import Absence, Variant
from aedeploy.bundle import Bundle, open_bundle
from aedeploy.bundle.manifest import Pixels
from aedeploy.bundle.store import CHECKPOINT_FILE, HISTORY_FILE
from aedeploy.errors import AedeployError, MissingDependencyError, ParityError
from aedeploy.export.run import FORMATS, export_bundle, format_names
from aedeploy.names import load_named

DEFAULT_PIXELS: tuple[Pixels, ...] = ("float32",)


def export_missing(
    bundle: Bundle,
    folder: Path,
    formats: Sequence[str] | None = None,
    pixels: Sequence[Pixels] | None = None,
) -> tuple[Bundle, dict[Variant, Absence]]:
    """Copy a bundle into ``folder``, and export there what it does not have, parity included.

    Args:
        bundle: stays as it is.
        folder: an empty folder.
        formats: by default every format there is.
        pixels: float32 by default.

    Returns:
        The copy, and why it lacks what it still lacks.

    Raises:
        UnknownNameError: there is no such format.
    """
    chosen = list(dict.fromkeys(formats or format_names()))
    writers = {format: load_named(FORMATS, format, "format") for format in chosen}
    # What trains on is large, and no part of a bundle.
    ignored = shutil.ignore_patterns(CHECKPOINT_FILE, HISTORY_FILE, ".*")
    copy = open_bundle(shutil.copytree(bundle.path, folder / "bundle", ignore=ignored))
    absent: dict[Variant, Absence] = {}
    for kind in dict.fromkeys(pixels or DEFAULT_PIXELS):
        have = {graph.format for graph in copy.manifest.graphs if graph.pixels == kind}
        wanted = []
        for format in (format for format in chosen if format not in have):
            package = writers[format].missing()
            if package:
                reason = str(MissingDependencyError(package, package, f"The format {format!r}"))
                absent[format, kind] = Absence(status="engine missing", reason=reason)
            else:
                wanted.append(format)
        copy, failed = _exported(copy, wanted, kind)
        absent |= {(format, kind): Absence(status="failed to export", reason=why) for format, why in failed.items()}
    return copy, absent


def _exported(bundle: Bundle, formats: Sequence[str], pixels: Pixels) -> tuple[Bundle, dict[str, str]]:
    """The bundle with as many of the formats as can be had, and why not the others."""
    if not formats:
        return bundle, {}
    try:
        return export_bundle(bundle, formats, pixels=pixels).bundle, {}
    except ParityError:
        return open_bundle(bundle.path), {}  # written, and marked as failed
    except AedeployError as error:
        if len(formats) == 1:
            return open_bundle(bundle.path), {formats[0]: str(error)}
    # One of them fails, and took the others with it: each on its own.
    failed: dict[str, str] = {}
    for format in formats:
        bundle, more = _exported(bundle, [format], pixels)
        failed |= more
    return bundle, failed
