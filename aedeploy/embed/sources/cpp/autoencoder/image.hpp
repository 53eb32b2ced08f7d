// Images of 8 bits, and what becomes of one on its way to a model and back.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "autoencoder/contract_types.hpp"
#include "autoencoder/tensor.hpp"

namespace autoencoder {

/// Rows from top to bottom, the channels of a pixel side by side: 1 (grey) or 3 (red, green, blue).
struct Image {
  int width = 0;
  int height = 0;
  int channels = 1;
  std::vector<std::uint8_t> pixels;

  Image() = default;
  /// A black one.
  Image(int width, int height, int channels);

  std::uint8_t* row(int y);
  const std::uint8_t* row(int y) const;
};

/// Grey (1) or RGB (3): colour becomes grey by ITU-R 601-2 luma, in Pillow's integer arithmetic.
Image with_channels(const Image& image, int channels);

/// Turned and mirrored as an EXIF orientation, 1 to 8, says; as it is, if it is another number.
Image upright(const Image& image, int orientation);

/// Images of any size, in the contract's colours and size, as float32 [batch, channel, height, width] in [0,
/// 1].
Tensor to_tensor(const std::vector<Image>& images, const ImageContract& contract);

/// float32 [batch, channel, height, width] in [0, 1] as images: each value the nearest byte.
std::vector<Image> to_images(const Tensor& tensor);

}  // namespace autoencoder
