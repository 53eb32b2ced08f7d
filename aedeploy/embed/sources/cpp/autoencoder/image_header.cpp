#include "autoencoder/image_header.hpp"

#include <string_view>

namespace autoencoder {

using namespace std::string_view_literals;

ImageHeader inspect(const Bytes& file) {
  if (file.starts_with("\xFF\xD8\xFF"sv)) {
    return inspect_jpeg(file);
  }
  if (file.starts_with("\x89PNG\r\n\x1A\n"sv)) {
    return inspect_png(file);
  }
  throw Error("it is no JPEG and no PNG file, or its header is broken");
}

int orientation_of(Bytes exif) {
  constexpr auto start = "Exif\0\0"sv;
  if (exif.starts_with(start)) {
    exif = *exif.from(start.size());
  }
  // What follows is a TIFF file: its byte order, where its first directory is, and in that 12 bytes an entry.
  const bool big_endian = exif.starts_with("MM"sv);
  if (!big_endian && !exif.starts_with("II"sv)) {
    return 1;
  }
  const std::size_t directory = exif.number(4, 4, big_endian).value_or(0);
  const std::uint32_t entries = exif.number(directory, 2, big_endian).value_or(0);
  for (std::uint32_t entry = 0; entry < entries; ++entry) {
    const std::optional<Bytes> field = exif.part(directory + 2 + std::size_t{12} * entry, 12);
    if (!field) {
      return 1;
    }
    if (field->number(0, 2, big_endian) == 0x0112U) {
      const bool is_long = field->number(2, 2, big_endian) == 4U;
      const std::uint32_t value = field->number(8, is_long ? 4 : 2, big_endian).value_or(1);
      return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
    }
  }
  return 1;
}

}  // namespace autoencoder
