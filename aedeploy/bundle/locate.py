"""Which bundle a command means when it was not told."""

from __future__ import annotations

import json
from pathlib import Path

from aedeploy.bundle.shipped import is_shipped, shipped_path
from aedeploy.bundle.store import MANIFEST_FILE, Bundle, open_bundle
from aedeploy.errors import BundleError

#: Where bundles go, and are looked for, by default: in the folder that the command runs in.
ARTIFACTS = Path("artifacts")


def newest_bundle(folder: Path = ARTIFACTS) -> Bundle:
    """The bundle in ``folder`` that was created last, by its own manifest (a copy or a checkout changes file times).

    One that came with the package, as it does in a checkout, is never meant unless it is named.

    Raises:
        BundleError: there is none.
    """
    dated = []
    for manifest in folder.glob(f"*/{MANIFEST_FILE}"):
        if is_shipped(manifest.parent):
            continue
        try:
            dated.append((str(json.loads(manifest.read_bytes())["provenance"]["created"]), manifest.parent))
        except (OSError, ValueError, KeyError, TypeError):
            # Not a reason to fail here: it was not asked for, and naming it gives its full error.
            continue
    if not dated:
        raise BundleError(
            f"There is no bundle in {folder}/: train one with  aedeploy train, or name one with --bundle."
        )
    return open_bundle(max(dated)[1])


def find_bundle(named: str | Path | None) -> Bundle:
    """The bundle at a path, or called so in ``artifacts/`` or among the shipped ones; for None :func:`newest_bundle`.

    Raises:
        BundleError: there is none.
        ManifestError: its manifest cannot be read.
    """
    if named is None:
        return newest_bundle()
    path = Path(named)
    if not path.exists():
        in_artifacts = ARTIFACTS / path
        path = in_artifacts if (in_artifacts / MANIFEST_FILE).is_file() else shipped_path(str(named)) or path
    return open_bundle(path)
