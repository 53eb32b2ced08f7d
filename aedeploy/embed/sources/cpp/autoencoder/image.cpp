#include "autoencoder/image.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "autoencoder/error.hpp"
#include "autoencoder/resample.hpp"

namespace autoencoder {

namespace {

std::size_t size_of(int length) {
  return static_cast<std::size_t>(length);
}

std::uint8_t luma(const std::uint8_t* rgb) {
  return static_cast<std::uint8_t>((19595U * rgb[0] + 38470U * rgb[1] + 7471U * rgb[2] + 0x8000U) >> 16U);
}

void check(const Image& image) {
  const bool well =
      image.width > 0 && image.height > 0 && (image.channels == 1 || image.channels == 3) &&
      image.pixels.size() == size_of(image.width) * size_of(image.height) * size_of(image.channels);
  if (!well) {
    throw Error("An image has width × height × channels bytes, and 1 or 3 channels: this one does not.");
  }
}

}  // namespace

Image::Image(int width_, int height_, int channels_)
    : width(width_),
      height(height_),
      channels(channels_),
      pixels(size_of(width_) * size_of(height_) * size_of(channels_)) {}

std::uint8_t* Image::row(int y) {
  return pixels.data() + size_of(y) * size_of(width) * size_of(channels);
}

const std::uint8_t* Image::row(int y) const {
  return pixels.data() + size_of(y) * size_of(width) * size_of(channels);
}

Image with_channels(const Image& image, int channels) {
  if (image.channels == channels) {
    return image;
  }
  Image converted(image.width, image.height, channels);
  const std::size_t count = size_of(image.width) * size_of(image.height);
  for (std::size_t at = 0; at < count; ++at) {
    if (channels == 1) {
      converted.pixels[at] = luma(&image.pixels[3 * at]);
    } else {
      std::fill_n(&converted.pixels[3 * at], 3, image.pixels[at]);
    }
  }
  return converted;
}

Image upright(const Image& image, int orientation) {
  if (orientation < 2 || orientation > 8) {
    return image;
  }
  // As a transposition, or none, of an image that is mirrored across, or down, or both, or not at all.
  const bool transposed = orientation >= 5;
  const bool across = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool down = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image turned(transposed ? image.height : image.width, transposed ? image.width : image.height,
               image.channels);
  for (int y = 0; y < turned.height; ++y) {
    std::uint8_t* to = turned.row(y);
    for (int x = 0; x < turned.width; ++x) {
      const int along = transposed ? y : x;
      const int below = transposed ? x : y;
      const std::uint8_t* from = image.row(down ? image.height - 1 - below : below) +
                                 (across ? image.width - 1 - along : along) * image.channels;
      to = std::copy_n(from, image.channels, to);
    }
  }
  return turned;
}

Tensor to_tensor(const std::vector<Image>& images, const ImageContract& contract) {
  const std::size_t plane = size_of(contract.height) * size_of(contract.width);
  const std::size_t channels = size_of(contract.channels);
  std::vector<float> values(images.size() * channels * plane);
  float* to = values.data();
  for (const Image& image : images) {
    check(image);
    const Image fitted = resized(with_channels(image, contract.channels), contract.width, contract.height);
    for (std::size_t channel = 0; channel < channels; ++channel) {
      for (std::size_t at = 0; at < plane; ++at) {
        *to++ = static_cast<float>(fitted.pixels[at * channels + channel]) / 255.0F;
      }
    }
  }
  return {{static_cast<std::int64_t>(images.size()), contract.channels, contract.height, contract.width},
          std::move(values)};
}

std::vector<Image> to_images(const Tensor& tensor) {
  if (tensor.shape.size() != 4 || (tensor.shape[1] != 1 && tensor.shape[1] != 3)) {
    throw Error("Images are [batch, 1 or 3, height, width], and these are " + to_text(tensor.shape) + ".");
  }
  const float* from = tensor.floats().data();
  std::vector<Image> images;
  for (std::int64_t number = 0; number < tensor.shape[0]; ++number) {
    Image image(static_cast<int>(tensor.shape[3]), static_cast<int>(tensor.shape[2]),
                static_cast<int>(tensor.shape[1]));
    const std::size_t channels = size_of(image.channels);
    const std::size_t plane = image.pixels.size() / channels;
    for (std::size_t channel = 0; channel < channels; ++channel) {
      for (std::size_t at = 0; at < plane; ++at, ++from) {
        if (!std::isfinite(*from)) {
          throw Error("The model gave NaN or infinity for a pixel.");
        }
        // Halves to the even number, which is how the processor rounds unless told otherwise.
        const float rounded = std::nearbyint(*from * 255.0F);
        image.pixels[at * channels + channel] = static_cast<std::uint8_t>(std::clamp(rounded, 0.0F, 255.0F));
      }
    }
    images.push_back(std::move(image));
  }
  return images;
}

}  // namespace autoencoder
