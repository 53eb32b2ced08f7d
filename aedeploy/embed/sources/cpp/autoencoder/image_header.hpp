// What the decoder does not tell of an image file, and whether it is whole.

#pragma once

#include <cstdint>
#include <vector>

#include "autoencoder/bytes.hpp"

namespace autoencoder {

struct ImageHeader {
  std::uint32_t width = 0;  // as it is stored
  std::uint32_t height = 0;
  int orientation = 1;                // of EXIF, 1 to 8
  bool grey_16 = false;               // 16-bit grey without an alpha channel
  std::vector<std::uint8_t> profile;  // ICC; empty: it has none
};

/// Walks through the parts of a JPEG or PNG file, without decoding its pixels.
/// Throws an Error, whose message is the reason alone, where the file is neither, is cut off, is
/// damaged in a way that the decoder would not notice, or has colours that the decoder would get wrong.
ImageHeader inspect(const Bytes& file);

// The same, of files that begin as these do.
ImageHeader inspect_jpeg(const Bytes& file);
ImageHeader inspect_png(const Bytes& file);

/// The orientation that EXIF data give; 1 where they give none, or are broken: the pixels may be sound.
int orientation_of(Bytes exif);

}  // namespace autoencoder
