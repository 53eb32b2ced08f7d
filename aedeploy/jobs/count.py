"""How many inputs a folder has by their names alone: long before the listing, which waits for the work, has ended."""

from __future__ import annotations

import os
import threading

from aedeploy.errors import AedeployError
from aedeploy.jobs.plan import Plan
from aedeploy.jobs.sources import Selection
from aedeploy.jobs.sources._choice import Choice, is_hidden
from aedeploy.jobs.spec import Origin


class NameCount:
    """Counts in a thread of its own. Held are the names of the folders to come, and one number for each behind a link.

    ``total`` is None until the count is done; it stays so where a folder cannot be listed, or the origin is no folder.
    """

    def __init__(self, origin: Origin, selection: Selection) -> None:
        self.total: int | None = None
        self._root = origin.location
        self._choice = Choice(selection)
        self._links = selection.links
        self._stopped = threading.Event()
        self._seen: set[tuple[int, int]] = set()
        if origin.kind == "folder" and os.path.isdir(origin.location):  # noqa: PTH112 - a path may end in a space
            threading.Thread(target=self._count, name="counting", daemon=True).start()

    def stop(self) -> None:
        """Nobody wants to know any more."""
        self._stopped.set()

    def _count(self) -> None:
        total, waiting = 0, [""]
        try:
            while waiting:
                total += self._in_folder(waiting.pop(), waiting)
                if self._stopped.is_set():
                    return
        except (OSError, AedeployError):  # the listing will say so, and what it is
            return
        self.total = total

    def _in_folder(self, prefix: str, waiting: list[str]) -> int:
        found = 0
        if self._links == "follow" and self._was_here(prefix):
            return 0
        with os.scandir(f"{self._root}/{prefix}") as entries:
            for entry in entries:
                if is_hidden(entry.name):
                    continue
                is_link = entry.is_symlink()
                if is_link and self._links == "skip":
                    continue
                if entry.is_dir():
                    if not is_link or self._links == "follow":
                        waiting.append(f"{prefix}{entry.name}/")
                elif self._choice.takes(prefix + entry.name):
                    found += 1
        return found

    def _was_here(self, prefix: str) -> bool:
        place = os.stat(f"{self._root}/{prefix}")  # noqa: PTH116 - a million folders
        key = (place.st_dev, place.st_ino)
        if key in self._seen:
            return True
        self._seen.add(key)
        return False


def done_before(plan: Plan) -> int:
    """How many inputs earlier runs are known to have finished, before the listing has met them."""
    if plan.record is None or plan.request.overwrite:
        return 0
    return sum(shard.inputs - len(shard.failures) for shard in plan.record.shards if shard.number in plan.kept)


def left_to_do(plan: Plan, dealt_with: int, total: int | None) -> int | None:
    """How many inputs are left, of which so many were dealt with by this run; None while nobody knows.

    ``total`` is what :class:`NameCount` came to.
    """
    seen, (_, of) = plan.seen, plan.request.part
    if seen.complete or total is None:
        return max(0, seen.to_do - dealt_with) if seen.complete else None
    before = max(seen.done, done_before(plan)) if of == 1 else seen.done
    # Names may have been wrong, or have come and gone.
    return max(0, seen.to_do - dealt_with, total // of - before - len(seen.failures) - dealt_with)
