// A separable triangle filter whose support grows with the reduction. First across, then down, with 8-bit
// pixels in between, and weights as integers, as in Pillow's Resample.c. The order of the floating-point
// operations matters: it is Pillow's, and CMakeLists.txt forbids the compiler to fuse them.

#include "autoencoder/resample.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace autoencoder {

namespace {

// Of the weights' integers: those of a pixel add up to about 1 << 22, so that a sum of products fits 32 bits.
constexpr int precision_bits = 32 - 8 - 2;

/// Which pixels of a line, and how much of each, make one pixel of the new line.
struct Taps {
  int first = 0;
  std::vector<std::int32_t> weights;
};

double triangle(double x) {
  x = std::abs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

std::vector<Taps> taps_of(int from, int to) {
  const double scale = static_cast<double>(from) / to;
  const double filter_scale = std::max(scale, 1.0);
  const double support = 1.0 * filter_scale;
  const double inverse = 1.0 / filter_scale;
  std::vector<Taps> line(static_cast<std::size_t>(to));
  std::vector<double> exact;
  for (int at = 0; at < to; ++at) {
    const double centre = (at + 0.5) * scale;
    const int first = std::max(static_cast<int>(centre - support + 0.5), 0);
    const int last = std::min(static_cast<int>(centre + support + 0.5), from);
    exact.clear();
    double sum = 0.0;
    for (int x = 0; x < last - first; ++x) {
      exact.push_back(triangle((x + first - centre + 0.5) * inverse));
      sum += exact.back();
    }
    Taps& taps = line[static_cast<std::size_t>(at)];
    taps.first = first;
    for (const double weight : exact) {
      const double share = sum != 0.0 ? weight / sum : weight;
      taps.weights.push_back(static_cast<std::int32_t>(share * (1 << precision_bits) + 0.5));
    }
  }
  return line;
}

std::uint8_t clipped(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> precision_bits, 0, 255));
}

/// `step`: how far apart in memory are the pixels that are added.
std::uint8_t weighed(const std::uint8_t* pixel, std::size_t step, const Taps& taps) {
  std::int32_t sum = 1 << (precision_bits - 1);
  for (const std::int32_t weight : taps.weights) {
    sum += *pixel * weight;
    pixel += step;
  }
  return clipped(sum);
}

Image across(const Image& image, int width) {
  const std::vector<Taps> line = taps_of(image.width, width);
  const auto channels = static_cast<std::size_t>(image.channels);
  Image made(width, image.height, image.channels);
  for (int y = 0; y < image.height; ++y) {
    const std::uint8_t* from = image.row(y);
    std::uint8_t* to = made.row(y);
    for (const Taps& taps : line) {
      for (std::size_t channel = 0; channel < channels; ++channel) {
        *to++ = weighed(from + static_cast<std::size_t>(taps.first) * channels + channel, channels, taps);
      }
    }
  }
  return made;
}

Image down(const Image& image, int height) {
  const std::vector<Taps> line = taps_of(image.height, height);
  const std::size_t stride = static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.channels);
  Image made(image.width, height, image.channels);
  for (int y = 0; y < height; ++y) {
    const Taps& taps = line[static_cast<std::size_t>(y)];
    const std::uint8_t* from = image.row(taps.first);
    std::uint8_t* to = made.row(y);
    for (std::size_t x = 0; x < stride; ++x) {
      to[x] = weighed(from + x, stride, taps);
    }
  }
  return made;
}

}  // namespace

Image resized(const Image& image, int width, int height) {
  // The pass that leaves less for the other one to do, as Pillow 13 estimates it, comes first.
  const long long lost_rows = image.height - height;
  const long long lost_columns = image.width - width;
  const bool down_first = lost_rows > 0 && lost_rows > 2 * lost_columns;
  Image made = down_first ? down(image, height) : image;
  made = made.width == width ? std::move(made) : across(made, width);
  return made.height == height ? made : down(made, height);
}

}  // namespace autoencoder
