"""What the cards of the shipped denoisers say that no manifest knows: what they are for, what not, and every figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from denoise_sections import machine_line, sections

from aedeploy.bundle import Manifest
from aedeploy.bundle.shipped import COLOUR, GREY

#: Of the folders of photographs: where they are from, and on what terms.
_SOURCES = {
    "exif-samples": "github.com/ianare/exif-samples (contributed by users, CC BY-SA 4.0)",
    "metadata-extractor": 'github.com/drewnoakes/metadata-extractor-images ("free to use […] however you wish")',
    "orientation-examples": "github.com/recurser/exif-orientation-examples (MIT; photographs from Unsplash)",
}

#: By which sets each of them is measured.
_SETS = {GREY: ("bsd68", "set12"), COLOUR: ("photographs",)}

_FOR = """
## What it is for

The grain of photographs, scans and single pictures of a video: noise that is nearly gaussian, the same all over the
picture and not tied from pixel to pixel, up to σ = 55 of 255 levels. It takes any height and width, and gives a picture
without noise back nearly as it was. {other}
""".strip()

_NOT_FOR = """
## What it is not for

- **The noise of a sensor, in raw files**: there it grows with the light, and colours are not yet put together.
- **What JPEG leaves behind, as such**: blocks and rings are no noise to it. Of noise that went through strong JPEG, or
  that was enlarged with its picture, pixels depend on each other: less is estimated than there is, and some stays. Give
  a larger σ then.
- **Evidence**: where noise hides a face, a number plate or a text, what it draws there is likely, and not seen.
- **Medicine and measurement**: it was trained on photographs of daily life, and on no X-ray, slide or star.
""".strip()


def kept_section(manifest: Manifest, figures: Mapping[str, Any]) -> str:
    """Markdown for the part of a card that stays. Of ``figures`` only those of these very weights are printed."""
    other = (
        f"For photographs in colours there is `{COLOUR}`."
        if manifest.name == GREY
        else f"For grey photographs there is `{GREY}`."
    )
    parts = [_FOR.format(other=other), _NOT_FOR, _trained_on(manifest)]
    about = figures.get("bundles", {}).get(manifest.name, {})
    if about.get("weights_sha256") == manifest.weights.sha256:
        parts += sections(_of_bundle(figures, manifest.name))
        parts.append(f"`docs/denoising.md` says how that was measured. {machine_line(figures)}")
    return "\n\n".join(parts)


def _trained_on(manifest: Manifest) -> str:
    data = manifest.provenance.data
    assert data is not None
    counts = Counter(name.partition("/")[0] for name in data.files)
    listed = "\n".join(f"- {count} of {_SOURCES[folder]}" for folder, count in sorted(counts.items()))
    return (
        "## What it was trained on\n\n"
        f"{len(data.files)} photographs, named in `bundle.json`, with noise put on them:\n\n{listed}\n\n"
        f"In detail: {data.preparation}; {data.split}. "
        "Nothing of BSD68, Set12, Kodak or CBSD68 was seen in training."
    )


_BY_BUNDLE = ("int8", "speed", "large", "memory", "training")


def _of_bundle(figures: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What was measured of one of the bundles."""
    kept = dict(figures)
    for part, keys in (("quality", _SETS[name]), ("auto", _SETS[name]), *((p, (name,)) for p in _BY_BUNDLE)):
        kept[part] = {key: value for key, value in figures.get(part, {}).items() if key in keys}
    if name == GREY:  # it is of colours
        kept.pop("jpeg", None)
    return kept
