#include <array>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "autoencoder/image_header.hpp"
#include "autoencoder/stb.hpp"

namespace autoencoder {

namespace {

using namespace std::string_view_literals;

std::uint32_t crc32(const Bytes& bytes) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> made{};
    for (std::uint32_t byte = 0; byte < made.size(); ++byte) {
      std::uint32_t value = byte;
      for (int bit = 0; bit < 8; ++bit) {
        value = (value & 1U) != 0U ? 0xEDB88320U ^ (value >> 1U) : value >> 1U;
      }
      made[byte] = value;
    }
    return made;
  }();
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const std::uint8_t byte : bytes) {
    crc = table[(crc ^ byte) & 0xFFU] ^ (crc >> 8U);
  }
  return ~crc;
}

std::vector<std::uint8_t> inflated(const Bytes& compressed) {
  int count = 0;
  const auto* data = reinterpret_cast<const char*>(compressed.begin());
  const std::unique_ptr<char, decltype(&std::free)> bytes(
      stbi_zlib_decode_malloc(data, static_cast<int>(compressed.size()), &count), &std::free);
  return bytes ? std::vector<std::uint8_t>(bytes.get(), bytes.get() + count) : std::vector<std::uint8_t>();
}

/// Of a name, a zero, the number of the compression, of which there is but one, and then the profile,
/// compressed.
std::vector<std::uint8_t> profile_of(const Bytes& content) {
  const std::uint8_t* name_end = std::find(content.begin(), content.end(), 0);
  const std::optional<Bytes> compressed =
      content.from(static_cast<std::size_t>(name_end - content.begin()) + 2);
  return compressed ? inflated(*compressed) : std::vector<std::uint8_t>();
}

}  // namespace

ImageHeader inspect_png(const Bytes& file) {
  ImageHeader header;
  std::size_t at = 8;
  while (true) {
    const std::size_t length = required(file.number(at, 4));
    const Bytes chunk = required(file.part(at + 4, length + 4));  // its type and its content
    const Bytes content = *chunk.from(4);
    if (required(file.number(at + 8 + length, 4)) != crc32(chunk)) {
      throw Error("it is damaged: a checksum in it is wrong");
    }
    at += length + 12;
    if (chunk.starts_with("IHDR"sv)) {
      header.width = content.number(0, 4).value_or(0);
      header.height = content.number(4, 4).value_or(0);
      header.grey_16 = content.number(8, 1) == 16U && content.number(9, 1) == 0U;
    } else if (chunk.starts_with("eXIf"sv)) {
      header.orientation = orientation_of(content);
    } else if (chunk.starts_with("iCCP"sv)) {
      header.profile = profile_of(content);
    } else if (chunk.starts_with("CgBI"sv)) {
      throw Error("it is a PNG of Apple's own sort, which only Apple's programs read: save it as PNG again");
    } else if (chunk.starts_with("IEND"sv)) {
      return header;
    }
  }
}

}  // namespace autoencoder
