"""PyTorch's archives, zip files that libtorch maps into memory, written so that they hold nothing of this machine."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

_EARLIEST = (1980, 1, 1, 0, 0, 0)

#: A hash over all entries as PyTorch wrote them, source lines included: it would differ from checkout to checkout.
_IDENTITY = ".data/serialization_id"


def rewritten(archive: bytes, folder: str, edit: Callable[[str, bytes], bytes | None]) -> bytes:
    """The archive with each entry as ``edit(name, content)`` gives it; None leaves the entry out.

    Names are without the archive's own folder, which becomes ``folder``. Entries are stored, not compressed, as
    libtorch needs them, under one fixed date, and start at multiples of 64 bytes, as PyTorch writes them, so that
    tensors may be mapped into memory.
    """
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as result:
        for entry in source.infolist():
            name = entry.filename.partition("/")[2]
            content = None if name == _IDENTITY else edit(name, source.read(entry))
            if content is None:
                continue
            info = zipfile.ZipInfo(f"{folder}/{name}", date_time=_EARLIEST)
            header = target.tell() + 30 + len(info.filename.encode())
            # An extra field is at least four bytes: its id and its length, then the filling.
            filling = -(header + 4) % 64
            info.extra = b"FB" + filling.to_bytes(2, "little") + b"Z" * filling
            result.writestr(info, content)
    return target.getvalue()
