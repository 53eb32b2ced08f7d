#pragma once

#include <cstdint>
#include <vector>

#include "autoencoder/image.hpp"

namespace autoencoder {

/// The image in sRGB, by the ICC profile that its file has: what its numbers mean. Perceptual intent, by
/// littlecms, as Pillow does. As it is, where the profile is broken, is of another kind of pixels, or is that
/// of sRGB already.
Image to_srgb(const Image& image, const std::vector<std::uint8_t>& profile);

/// The same for 16-bit grey, as 8 bits: a profile of grey is a curve, and is as good as straight between two
/// levels.
Image to_srgb(const std::vector<std::uint16_t>& grey, int width, int height,
              const std::vector<std::uint8_t>& profile);

}  // namespace autoencoder
