"""What the figures were measured on: the processor, not whose it is."""

from __future__ import annotations

import platform
from pathlib import Path

from aedeploy.runtime.cores import available_cores


def machine() -> dict[str, str | int | bool | None]:
    """The processor's name, the cores that this process may use, whether it multiplies 8-bit integers natively."""
    fields: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    flags = set(fields.get("flags", "").split())
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return {
        "processor": fields.get("model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": available_cores(),
        "vnni": bool(flags & {"avx512_vnni", "avx_vnni"}) if x86 and flags else None,
    }
