#pragma once

#include "autoencoder/image.hpp"

namespace autoencoder {

/// The image at another size, whatever its aspect: bilinear, antialiased where it reduces. Bit for bit what
/// Pillow's Image.resize makes of 8-bit pixels with BILINEAR; training used that, so a model expects it.
Image resized(const Image& image, int width, int height);

}  // namespace autoencoder
