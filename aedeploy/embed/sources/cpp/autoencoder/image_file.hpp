#pragma once

#include <cstdint>
#include <filesystem>

#include "autoencoder/image.hpp"

namespace autoencoder {

/// An image of more pixels is refused by its header, before its pixels take the memory.
inline constexpr std::uint64_t max_pixels = 100'000'000;

/// Decodes a JPEG or PNG file: upright, in sRGB, 8 bits, grey or RGB; alpha is dropped, a palette resolved.
/// Throws an Error if it is neither, or broken, or one whose colours would come out wrong.
Image read_image(const std::filesystem::path& path);

/// Writes a PNG file. Throws an Error if that cannot be done, all of it.
void write_png(const std::filesystem::path& path, const Image& image);

}  // namespace autoencoder
