#include "autoencoder/colour_profile.hpp"

#include <lcms2.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <optional>
#include <type_traits>

namespace autoencoder {

namespace {

using Profile = std::unique_ptr<std::remove_pointer_t<cmsHPROFILE>, decltype(&cmsCloseProfile)>;
using Transform = std::unique_ptr<std::remove_pointer_t<cmsHTRANSFORM>, decltype(&cmsDeleteTransform)>;

/// A profile that moves no channel by more is that of sRGB, but for rounding.
constexpr int same = 2;

/// What a grey profile makes of the 256 levels from black to white.
using Curve = std::array<std::uint8_t, 256>;

/// Null where the profile is broken, or its colour space is another.
Transform transform_of(const std::vector<std::uint8_t>& content, cmsColorSpaceSignature space,
                       cmsUInt32Number format, cmsUInt32Number flags) {
  const Profile profile(cmsOpenProfileFromMem(content.data(), static_cast<cmsUInt32Number>(content.size())),
                        &cmsCloseProfile);
  const Profile srgb(cmsCreate_sRGBProfile(), &cmsCloseProfile);
  cmsHTRANSFORM transform = nullptr;
  if (profile && srgb && cmsGetColorSpace(profile.get()) == space) {
    transform = cmsCreateTransform(profile.get(), format, srgb.get(), TYPE_RGB_8, INTENT_PERCEPTUAL, flags);
  }
  return {transform, &cmsDeleteTransform};
}

Image applied(const Transform& transform, const Image& image) {
  Image converted(image.width, image.height, 3);
  for (int y = 0; y < image.height; ++y) {
    cmsDoTransform(transform.get(), image.row(y), converted.row(y),
                   static_cast<cmsUInt32Number>(image.width));
  }
  return converted;
}

/// 9 × 9 × 9 colours, evenly spread.
Image probe() {
  constexpr int steps = 9;
  Image colours(steps * steps * steps, 1, 3);
  const auto level = [](int step) {
    return static_cast<std::uint8_t>(std::nearbyint(step * 255.0 / (steps - 1)));
  };
  for (int at = 0; at < colours.width; ++at) {
    std::uint8_t* pixel = colours.row(0) + std::ptrdiff_t{3} * at;
    pixel[0] = level(at / (steps * steps));
    pixel[1] = level(at / steps % steps);
    pixel[2] = level(at % steps);
  }
  return colours;
}

bool is_srgb(const Transform& transform) {
  const Image before = probe();
  const Image after = applied(transform, before);
  return std::equal(before.pixels.begin(), before.pixels.end(), after.pixels.begin(),
                    [](int one, int other) { return std::abs(one - other) <= same; });
}

/// None where the profile says nothing of grey, or nothing that is not so already.
std::optional<Curve> grey_curve(const std::vector<std::uint8_t>& content) {
  // Optimised it would be made of 32 straight pieces.
  const Transform transform = transform_of(content, cmsSigGrayData, TYPE_GRAY_8, cmsFLAGS_NOOPTIMIZE);
  if (!transform) {
    return std::nullopt;
  }
  Image levels(256, 1, 1);
  for (int level = 0; level < levels.width; ++level) {
    levels.row(0)[level] = static_cast<std::uint8_t>(level);
  }
  // The three channels are equal, or differ by rounding.
  const Image after = with_channels(applied(transform, levels), 1);
  const bool moved = !std::equal(after.pixels.begin(), after.pixels.end(), levels.pixels.begin(),
                                 [](int one, int other) { return std::abs(one - other) <= same; });
  Curve curve{};
  std::copy(after.pixels.begin(), after.pixels.end(), curve.begin());
  return moved ? std::optional(curve) : std::nullopt;
}

}  // namespace

Image to_srgb(const Image& image, const std::vector<std::uint8_t>& profile) {
  if (image.channels == 3) {
    const Transform transform = transform_of(profile, cmsSigRgbData, TYPE_RGB_8, 0);
    return transform && !is_srgb(transform) ? applied(transform, image) : image;
  }
  Image converted = image;
  if (const std::optional<Curve> curve = grey_curve(profile)) {
    for (std::uint8_t& level : converted.pixels) {
      level = (*curve)[level];
    }
  }
  return converted;
}

Image to_srgb(const std::vector<std::uint16_t>& grey, int width, int height,
              const std::vector<std::uint8_t>& profile) {
  const std::optional<Curve> curve = grey_curve(profile);
  Image converted(width, height, 1);
  for (std::size_t at = 0; at < grey.size(); ++at) {
    const std::uint32_t word = grey[at];
    if (!curve) {
      converted.pixels[at] = static_cast<std::uint8_t>((word * 255U + 32767U) / 65535U);
      continue;
    }
    // Between two levels of 8 bits, which are 257 apart, in 16 bits and rounded, and then to 8.
    const std::size_t level = word / 257U;
    const double below = (*curve)[level];
    const double above = (*curve)[std::min<std::size_t>(level + 1, 255)];
    const double exact = below * 257.0 + (above - below) * (word % 257U);
    converted.pixels[at] = static_cast<std::uint8_t>((std::nearbyint(exact) + 128.0) / 257.0);
  }
  return converted;
}

}  // namespace autoencoder
