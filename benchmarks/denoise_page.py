"""docs/denoising.md, from what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from denoise_sections import Figures, machine_line, sections, table


def write_page(path: Path, figures: Figures) -> None:
    """Write the page of all that was measured so far."""
    parts = [
        "# Denoising, measured",
        "*Written by `benchmarks/denoise.py` from what it measured; change it there.*",
        _bundles(figures),
        *_pictures(figures.get("pictures", [])),
        *sections(figures),
        METHOD,
        machine_line(figures),
    ]
    path.write_text("\n\n".join(part.strip() for part in parts if part) + "\n", encoding="utf-8")


METHOD = """
## How it is measured

The protocol of DnCNN (Zhang et al. 2017) and of those after it, as `aedeploy evaluate --denoising` has it
([evaluation.md](evaluation.md#denoising-photographs)). Of a clean image, bytes `clean` [height, width, channels]:

```python
draws = numpy.random.default_rng(0).standard_normal(clean.shape)  # anew for each image
noisy = ((clean + sigma * draws) / 255).astype("float32")  # not clipped
output = numpy.rint(numpy.clip(method(noisy, sigma), 0, 1) * 255)  # compared as 8 bits
psnr = 10 * numpy.log10(255**2 / numpy.square(clean - output).mean())  # over all pixels and channels; then images
```

SSIM is that of Wang et al. 2004 on the same 8-bit images in [0, 1]: a gaussian window of 11×11, σ = 1.5, K₁ = 0.01,
K₂ = 0.03, without padding; in colour the mean of the three channels. The noisy image itself is neither clipped nor
rounded where its figures are given.

- **aedeploy**: the exported ONNX graph by onnxruntime, told σ unless it says that it is estimated.
- **BM3D**: its authors' package `bm3d`, told σ, profile `np`; colour by `bm3d_rgb`.
  Its licence is for non-commercial use only; nothing of aedeploy needs it.
- **Non-local means**: OpenCV's `fastNlMeansDenoising` and `fastNlMeansDenoisingColored`, with its own window of 21×21.
  They take bytes, so the noisy image is clipped and rounded for them. In grey: patches of 3×3 and h = 1.1 σ up to
  σ = 20, of 5×5 and h = 0.75 σ + 4 above, chosen on every sixteenth image of train400; in colour patches of 3×3,
  h = 0.7 σ, and 0.8 σ for the colours, chosen on every seventh of the training photographs. Both are within 0.06 dB of
  the best of their grids at 15, 25 and 50. OpenCV's usual patch of 7×7 is up to 0.7 dB worse in grey, 1.1 dB in colour.
- **Photographs**: the 15 whose names begin with `exif-org__`, which no training has seen, upright, shrunk by two with a
  Lanczos filter, so that little is left of what JPEG did to them.
- What is literature is from the papers and was not measured here.
""".strip()


def _bundles(figures: Figures) -> str:
    rows = []
    for name, about in figures["bundles"].items():
        graphs = ", ".join(f"`{path}` {size:,}" for path, size in about["graphs"].items())
        rows.append([f"`{name}`", f"{about['bundle_bytes']:,}", graphs, f"`{about['weights_sha256'][:12]}`"])
    found = table(["bundle", "bytes", "graphs, bytes", "weights"], rows)
    return f"The two denoisers that come with the package, beside what people use today.\n\n{found}"


def _pictures(pictures: Sequence[Figures]) -> Iterable[str]:
    for shown in pictures:
        alt = f"{shown['what']}: noisy, non-local means, BM3D, aedeploy, clean"
        yield f"![{alt}]({shown['file']})"
    if pictures:
        named = "; ".join(f"{shown['what']}, {shown['photograph']!r}" for shown in pictures)
        yield (
            "*Parts of photographs that nothing was trained on, shrunk by two, shown pixel by pixel; PSNR of the part. "
            "They helped to choose the epoch, so that no figure below is of them. From "
            "[metadata-extractor-images](https://github.com/drewnoakes/metadata-extractor-images), free for any use: "
            f"{named}.*"
        )
