"""How much memory this process may still take: the container's limit is it, where that is less than the machine's."""

from __future__ import annotations

from pathlib import Path

#: Where nothing says: of a machine without /proc.
_UNKNOWN = 2 * 2**30

_CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int:
    """Bytes, at least 0: of the machine, and of every control group that this process is in."""
    found = [amount for amount in (_of_machine(), *_of_groups()) if amount is not None]
    return max(0, min(found)) if found else _UNKNOWN


def _of_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return None


def _of_groups() -> list[int | None]:
    """What is left in the group of this process and in those around it, of version 2 and of version 1."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    left: list[int | None] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, limit, usage, cache = _CGROUP, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, cache = _CGROUP / "memory", "total_inactive_file"
            limit, usage = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        # In a container the path may be the host's: what is there of it is looked at, and the root in any case.
        folder = root / path.lstrip("/")
        for group in (folder, *folder.parents):
            if group.is_relative_to(root):
                left.append(_left_in(group, limit, usage, cache))
    return left


def _left_in(group: Path, limit: str, usage: str, cache: str) -> int | None:
    """Of a group's limit, counting what the kernel gives back when asked: files that nobody has used of late."""
    try:
        most = int((group / limit).read_text())
        used = int((group / usage).read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return most - used + int(stat.get(cache, 0))
    except (OSError, ValueError):  # also "max": no limit
        return None
