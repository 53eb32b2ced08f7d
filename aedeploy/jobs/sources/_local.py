"""Archives of this machine, found by a name or a pattern."""

from __future__ import annotations

import functools
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from aedeploy.jobs.sources._archives import SUFFIXES, Archive
from aedeploy.jobs.sources._patterns import expanded, is_pattern, prefixes
from aedeploy.jobs.spec import Origin


def claims_suffix(text: str, suffixes: Sequence[str]) -> bool:
    """Whether a name, or a pattern, ends as given, and is no folder or URL."""
    return text.lower().endswith(tuple(suffixes)) and "://" not in text and not Path(text).is_dir()


def find_archives(text: str, kind: str) -> Origin:
    """The archives that a name or a pattern stands for.

    Raises:
        ConfigError: one is missing.
    """
    location = os.path.abspath(text)  # noqa: PTH100 - links stay as they are
    for _ in local_archives(location):
        pass
    return Origin(kind=kind, location=location)


def local_archives(location: str) -> Iterator[Archive]:
    """Every archive that a path or a pattern stands for.

    Raises:
        ConfigError: one is missing.
    """
    is_file = os.path.isfile(location)  # noqa: PTH113 - a path may end in a space
    alone = is_file or not is_pattern(location)
    paths = [location] if is_file else expanded(location, glob.glob, os.path.isfile)
    for path, start in zip(paths, [""] if alone else prefixes(location, paths, SUFFIXES), strict=True):
        yield Archive(location=path, prefix=start, alone=alone, in_place=True, open=functools.partial(open_file, path))


def open_file(path: str) -> IO[bytes]:
    return open(path, "rb")
