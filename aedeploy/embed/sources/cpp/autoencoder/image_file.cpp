#include "autoencoder/image_file.hpp"

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>

#include "autoencoder/colour_profile.hpp"
#include "autoencoder/error.hpp"
#include "autoencoder/file.hpp"
#include "autoencoder/image_header.hpp"
#include "autoencoder/stb.hpp"

namespace autoencoder {

namespace {

constexpr std::uintmax_t max_file_bytes = std::uintmax_t{512} << 20;

struct FreePixels {
  void operator()(void* pixels) const { stbi_image_free(pixels); }
};

template <typename T>
using Pixels = std::unique_ptr<T, FreePixels>;

/// The decoder's own word for what is wrong.
[[noreturn]] void fail_decoding() {
  const char* reason = stbi_failure_reason();
  throw Error("it cannot be decoded: " + std::string(reason != nullptr ? reason : "unknown reason"));
}

/// The channels that are colour, of those that were decoded: alpha comes last, and is left out.
int colours_of(int channels) {
  return channels <= 2 ? 1 : 3;
}

Image decode(const std::vector<std::uint8_t>& file) {
  const ImageHeader header = inspect({file.data(), file.size()});
  if (std::uint64_t{header.width} * header.height > max_pixels) {
    throw Error("it has " + std::to_string(header.width) + " × " + std::to_string(header.height) +
                " pixels, and no more than 100 million are decoded");
  }
  const auto* data = file.data();
  const auto bytes = static_cast<int>(file.size());
  int width = 0;
  int height = 0;
  int channels = 0;
  if (header.grey_16) {
    const Pixels<stbi_us> words(stbi_load_16_from_memory(data, bytes, &width, &height, &channels, 0));
    if (words == nullptr) {
      fail_decoding();
    }
    // With a transparent level there is a second channel, of no use here.
    std::vector<std::uint16_t> grey(static_cast<std::size_t>(width) * static_cast<std::size_t>(height));
    for (std::size_t at = 0; at < grey.size(); ++at) {
      grey[at] = words.get()[at * static_cast<std::size_t>(channels)];
    }
    return upright(to_srgb(grey, width, height, header.profile), header.orientation);
  }
  // Of 16-bit colour the upper byte is taken, which is what Pillow does.
  const Pixels<stbi_uc> decoded(stbi_load_from_memory(data, bytes, &width, &height, &channels, 0));
  if (decoded == nullptr) {
    fail_decoding();
  }
  Image image(width, height, colours_of(channels));
  const stbi_uc* from = decoded.get();
  for (auto to = image.pixels.begin(); to != image.pixels.end(); to += image.channels, from += channels) {
    std::copy_n(from, image.channels, to);
  }
  if (!header.profile.empty()) {
    image = to_srgb(image, header.profile);
  }
  return upright(image, header.orientation);
}

}  // namespace

Image read_image(const std::filesystem::path& path) {
  try {
    return decode(read_file(path, max_file_bytes));
  } catch (const FileError&) {
    throw;
  } catch (const Error& error) {
    throw Error(path.string() + " cannot be read as an image: " + error.what() + ".");
  }
}

void write_png(const std::filesystem::path& path, const Image& image) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  const auto write = [](void* stream, void* data, int bytes) {
    static_cast<std::ofstream*>(stream)->write(static_cast<const char*>(data), bytes);
  };
  const int stride = image.width * image.channels;
  const bool made = file && stbi_write_png_to_func(write, &file, image.width, image.height, image.channels,
                                                   image.pixels.data(), stride) != 0;
  file.close();
  if (!made || !file) {
    throw Error(path.string() + " cannot be written: is there such a folder, and room in it?");
  }
}

}  // namespace autoencoder
