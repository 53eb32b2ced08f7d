"""A bundle's directory: opened, checked, and changed so that its manifest never vouches for files of another state.

A change writes new files beside the old ones under temporary names, renames them, and replaces the manifest last. Where
files that the old manifest vouches for are replaced, it goes first.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aedeploy.bundle.manifest import (
    SCHEMA_VERSION,
    FileRecord,
    GraphRecord,
    Manifest,
    Pixels,
    parse_manifest,
    variant_name,
)
from aedeploy.errors import BundleError, ConfigError, IntegrityError
from aedeploy.files import locked, sha256_of, write_text

MANIFEST_FILE = "bundle.json"
WEIGHTS_FILE = "weights.safetensors"
GOLDEN_FILE = "golden.safetensors"
PARITY_FILE = "parity.json"
HISTORY_FILE = "history.jsonl"
CARD_FILE = "README.md"
CHECKPOINT_FILE = "checkpoint.safetensors"  # of a run; no part of the bundle

#: Where the bundles of an installed package are: see :mod:`aedeploy.bundle.shipped`.
INSTALLED = Path(__file__).resolve().parents[1] / "bundles"


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: where it is, and what its manifest says."""

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.manifest.name

    def file(self, record: FileRecord) -> Path:
        """The checked path of a file of the bundle.

        Raises:
            IntegrityError: the file is missing, leads out of the bundle, or is not what the manifest recorded.
        """
        path = self.path / record.path
        if not path.is_file():
            raise IntegrityError(f"{record.path} of bundle {self.name!r} is missing: restore it, or export again.")
        # A symbolic link could lead out of the bundle although the recorded path does not.
        if not path.resolve().is_relative_to(self.path.resolve()):
            raise IntegrityError(f"{record.path} of bundle {self.name!r} leads out of the bundle: it is not used.")
        size = path.stat().st_size
        if size != record.bytes:
            raise IntegrityError(
                f"{record.path} of bundle {self.name!r} has {size} bytes where the manifest says {record.bytes}: "
                "it was truncated or replaced; restore it, or export again."
            )
        if sha256_of(path) != record.sha256:
            raise IntegrityError(
                f"{record.path} of bundle {self.name!r} was altered: its SHA-256 is not the one in the manifest; "
                "restore it, or export again."
            )
        return path

    def files(self) -> Iterator[FileRecord]:
        """Every file that the manifest vouches for."""
        yield self.manifest.weights
        yield self.manifest.golden
        for graph in self.manifest.graphs:
            yield graph.file
            if graph.data is not None:
                yield graph.data

    def require_outside(self, folder: Path) -> None:
        """Refuse a folder that something made of the bundle is to be written into.

        Raises:
            ConfigError: it is in the bundle, or there is something else than a folder.
        """
        if folder.resolve().is_relative_to(self.path.resolve()):
            raise ConfigError(f"{folder} is in the bundle: choose a folder outside of it.")
        if os.path.lexists(folder) and not folder.is_dir():
            what = "a file" if folder.exists() else "a link that leads nowhere"
            raise ConfigError(f"{folder} is {what}, so it is no folder: choose another name.")

    def graph(self, role: str, format: str, pixels: Pixels = "float32", *, allow_failed: bool = False) -> GraphRecord:
        """The graph of a role in a format, fit to run.

        Raises:
            BundleError: there is none, or its parity check failed and ``allow_failed`` is not set.
        """
        found = self.manifest.graph(role, format, pixels)
        if found is None and role != "autoencoder" and self.manifest.latent is None:
            raise BundleError(
                f"The model of bundle {self.name!r} cannot be cut into an encoder and a decoder: it has an autoencoder "
                "alone, for reconstruct and denoise."
            )
        if found is None:
            have = sorted({g.variant for g in self.manifest.graphs if g.role == role})
            listed = f"it has {role} graphs as {', '.join(have)}" if have else f"it has no {role} graph yet"
            option = "" if pixels == "float32" else f" --pixels {pixels}"
            raise BundleError(
                f"Bundle {self.name!r} has no {role} graph in format {variant_name(format, pixels)!r} ({listed}): "
                f"run  aedeploy export {shlex.quote(str(self.path))} --format {format}{option}"
            )
        if found.parity == "failed" and not allow_failed:
            raise BundleError(
                f"The {found.variant} {role} graph of bundle {self.name!r} failed its parity check, so it is not run: "
                f"export it again, or pass --allow-failed to run it all the same."
            )
        return found

    def with_graphs(self, graphs: Iterable[GraphRecord]) -> Bundle:
        """Record graphs, in place of those of the same role and format, and write the manifest."""
        new = {(g.format, g.pixels, g.role): g for g in (*self.manifest.graphs, *graphs)}
        ordered = tuple(new[key] for key in sorted(new))
        return self.save(self.manifest.model_copy(update={"graphs": ordered}))

    def save(self, manifest: Manifest) -> Bundle:
        """Replace the manifest, atomically, and give the bundle as it is now, in this release's schema."""
        manifest = manifest.model_copy(update={"schema_version": SCHEMA_VERSION})
        write_manifest(self.path, manifest)
        return Bundle(self.path, manifest)


def is_installed(bundle: Bundle) -> bool:
    """Whether a bundle is part of an installed package."""
    return bundle.path.resolve().is_relative_to(INSTALLED)


def require_changeable(bundle: Bundle) -> None:
    """Refuse to change a bundle that is part of an installed package: the next installation would undo it unseen.

    Raises:
        BundleError: it is.
    """
    if is_installed(bundle):
        raise BundleError(
            f"Bundle {bundle.name!r} came with the package, and is left as it is: copy it first, by  "
            f"cp -r {shlex.quote(str(bundle.path))} artifacts/  and name the copy."
        )


@contextmanager
def changing(bundle: Bundle) -> Iterator[Bundle]:
    """Hold a bundle for a change, and give it as it is now: another process may have added to it meanwhile.

    Raises:
        BundleError: it now holds another model, or is part of the package.
    """
    require_changeable(bundle)
    with locked(bundle.path):
        current = open_bundle(bundle.path)
        if current.manifest.digest != bundle.manifest.digest:
            raise BundleError(f"The model in {bundle.path} was replaced by another one meanwhile: run this again.")
        yield current


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write ``bundle.json`` into a bundle's directory, atomically; every other file must be there already."""
    write_text(path / MANIFEST_FILE, manifest.model_dump_json(indent=2) + "\n")


def record_file(bundle_path: Path, relative: str) -> FileRecord:
    """Describe a file that was just written into a bundle."""
    path = bundle_path / relative
    return FileRecord(path=relative, sha256=sha256_of(path), bytes=path.stat().st_size)


def open_bundle(path: str | Path) -> Bundle:
    """Read a bundle's manifest. Its files are checked when they are used, or all at once by ``verify``.

    Raises:
        BundleError: there is no bundle at ``path``.
        ManifestError: its manifest cannot be read.
    """
    path = Path(path)
    if path.name == MANIFEST_FILE and path.is_file():
        path = path.parent
    manifest = path / MANIFEST_FILE
    if not manifest.is_file():
        if (path / CHECKPOINT_FILE).is_file():
            raise BundleError(
                f"{path} is not a bundle yet: its training was cut short; go on with it by  aedeploy train --resume "
                f"--out {shlex.quote(str(path))}  and the other options of then."
            )
        reason = "there is no such folder" if not path.exists() else f"it has no {MANIFEST_FILE}"
        raise BundleError(f"{path} is not a bundle: {reason}. Train one with  aedeploy train, or name another.")
    try:
        text = manifest.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        text = ""
    return Bundle(path, parse_manifest(text, str(manifest)))
