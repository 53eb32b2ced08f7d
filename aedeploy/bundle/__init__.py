"""The bundle: a directory, described by one manifest, with all that a trained autoencoder needs to run anywhere.

manifest.py   what bundle.json may say
store.py      opening, checking and writing a bundle's directory
golden.py     golden vectors: real inputs and PyTorch's outputs
card.py       the README.md that a bundle carries
locate.py     which bundle a command means
shipped.py    the bundles that come with the package
"""

from aedeploy.bundle.manifest import (
    SCHEMA_VERSION,
    AnySize,
    DataRecord,
    FileRecord,
    GraphRecord,
    ImageContract,
    LatentContract,
    Manifest,
    NoiseContract,
    Provenance,
    Quantisation,
    TensorSpec,
)
from aedeploy.bundle.store import Bundle, open_bundle

__all__ = [
    "SCHEMA_VERSION",
    "AnySize",
    "Bundle",
    "DataRecord",
    "FileRecord",
    "GraphRecord",
    "ImageContract",
    "LatentContract",
    "Manifest",
    "NoiseContract",
    "Provenance",
    "Quantisation",
    "TensorSpec",
    "open_bundle",
]
