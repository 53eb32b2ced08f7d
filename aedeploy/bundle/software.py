"""Which packages took part: what ``Manifest.software`` lists. Names and versions only, never where they lie."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution

OURS = "aedeploy"

_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_EXTRA = re.compile(r"""\bextra\s*==\s*['"]([^'"]+)['"]""")


def installed_software(extras: Iterable[str] = (), more: Iterable[str] = ()) -> dict[str, str]:
    """Python, and every installed package that aedeploy with ``extras``, and the packages ``more``, need; sorted.

    What a requirement says of systems and Python versions is not evaluated: what is installed is listed.
    """
    versions: dict[str, str] = {}
    # By name, the extras of it that were followed so far.
    followed: dict[str, set[str]] = {}
    waiting = [(OURS, frozenset(extras)), *((name, frozenset[str]()) for name in more)]
    while waiting:
        name, wanted = waiting.pop()
        key = _normal(name)
        before = followed.get(key)
        if before is not None and wanted <= before:
            continue
        found = _distribution(name)
        if found is None:
            continue
        followed[key] = (before or set()) | wanted
        versions[key] = found.version
        waiting += _needs(found, followed[key])
    return {"python": platform.python_version(), **dict(sorted(versions.items()))}


def direct_packages() -> dict[str, str]:
    """The installed ones among the packages that aedeploy itself names, with whatever extra but the developers'."""
    ours = _distribution(OURS)
    lines = [] if ours is None else [line for line in ours.requires or () if "dev" not in _EXTRA.findall(line)]
    found = {_normal(match[1]): _distribution(match[1]) for line in lines if (match := _NAME.match(line))}
    return {name: there.version for name, there in sorted(found.items()) if there is not None}


def _needs(found: Distribution, extras: set[str]) -> list[tuple[str, frozenset[str]]]:
    """What a distribution needs, with those of its extras: names, and the extras of each."""
    needs = []
    wanted = {_normal(extra) for extra in extras}
    for line in found.requires or ():
        requirement, _, marker = line.partition(";")
        match = _NAME.match(requirement)
        only_for = {_normal(extra) for extra in _EXTRA.findall(marker)}
        if match and (not only_for or only_for & wanted):
            needs.append((match[1], frozenset(part.strip() for part in (match[2] or "").split(",") if part.strip())))
    return needs


def _distribution(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except (PackageNotFoundError, ValueError):
        return None


def _normal(name: str) -> str:
    """A package's name as the packaging standard compares them."""
    return re.sub(r"[-_.]+", "-", name).lower()
