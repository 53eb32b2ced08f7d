#include <map>
#include <string_view>

#include "autoencoder/image_header.hpp"

namespace autoencoder {

namespace {

using namespace std::string_view_literals;

// Markers of JPEG: ITU-T T.81, table B.1.
constexpr std::uint8_t huffman_tables = 0xC4;
constexpr std::uint8_t start_of_scan = 0xDA;
constexpr std::uint8_t end_of_image = 0xD9;
constexpr std::uint8_t app_1 = 0xE1;
constexpr std::uint8_t app_2 = 0xE2;
constexpr std::uint8_t app_14 = 0xEE;

bool is_start_of_frame(std::uint8_t marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

bool has_length(std::uint8_t marker) {
  return marker != 0x01 && !(marker >= 0xD0 && marker <= 0xD8);
}

/// Where the next marker's second byte is: after fill bytes, and after data in which 0xFF is followed by 0.
std::size_t next_marker(const Bytes& file, std::size_t at) {
  while (at + 1 < file.size()) {
    if (file[at] == 0xFF && file[at + 1] != 0x00 && file[at + 1] != 0xFF) {
      return at + 1;
    }
    ++at;
  }
  throw Error("it is cut off");
}

/// A profile of any length comes in parts, each with its number, from 1 up, and how many there are.
class ProfileParts {
 public:
  void add(const Bytes& content) {
    constexpr auto start = "ICC_PROFILE\0"sv;
    if (content.starts_with(start) && content.size() > start.size() + 2) {
      count_ = content[start.size() + 1];
      parts_.emplace(content[start.size()], *content.from(start.size() + 2));
    }
  }

  /// Empty where one is missing.
  std::vector<std::uint8_t> joined() const {
    std::vector<std::uint8_t> profile;
    if (parts_.size() == count_) {
      for (const auto& [number, part] : parts_) {
        profile.insert(profile.end(), part.begin(), part.end());
      }
    }
    return profile;
  }

 private:
  std::size_t count_ = 0;
  std::map<int, Bytes> parts_;
};

/// Throws an Error where a table has more codes than there are symbols: stb_image before 2.28 writes beyond
/// its own.
void check_huffman_tables(const Bytes& content) {
  constexpr std::size_t lengths = 16;
  constexpr std::size_t most = 256;
  for (std::size_t at = 0; at < content.size();) {
    std::size_t codes = 0;
    for (const std::uint8_t count : required(content.part(at + 1, lengths))) {
      codes += count;
    }
    if (codes > most) {
      throw Error("it is damaged: it has a table that no JPEG has");
    }
    at += 1 + lengths + codes;
  }
}

/// What the segments of a file say, one after the other.
struct Segments {
  ImageHeader header;
  ProfileParts profile;
  std::uint32_t components = 0;
  bool adobe = false;
  bool oriented = false;
  bool scanned = false;

  void add(std::uint8_t marker, const Bytes& content) {
    if (marker == app_1 && !oriented && content.starts_with("Exif\0\0"sv)) {
      header.orientation = orientation_of(content);
      oriented = true;
    } else if (marker == app_2) {
      profile.add(content);
    } else if (marker == app_14) {
      adobe = adobe || content.starts_with("Adobe"sv);
    } else if (marker == huffman_tables) {
      check_huffman_tables(content);
    } else if (is_start_of_frame(marker)) {
      header.height = content.number(1, 2).value_or(0);
      header.width = content.number(3, 2).value_or(0);
      components = content.number(5, 1).value_or(0);
    }
    scanned = scanned || marker == start_of_scan;
  }

  ImageHeader ended() {
    if (!scanned) {
      throw Error("it has no pixels");
    }
    header.profile = profile.joined();
    // The decoder turns CMYK into RGB by itself: as Pillow does, if it is Adobe's, and there is no profile to
    // go by.
    if (components == 4 && (!adobe || !header.profile.empty())) {
      throw Error("it is a CMYK JPEG whose colours this program does not know: save it as RGB");
    }
    return header;
  }
};

}  // namespace

ImageHeader inspect_jpeg(const Bytes& file) {
  Segments segments;
  std::size_t at = 2;
  while (true) {
    at = next_marker(file, at);
    const std::uint8_t marker = file[at++];
    if (marker == end_of_image) {
      return segments.ended();
    }
    if (has_length(marker)) {
      const std::size_t length = std::max<std::size_t>(required(file.number(at, 2)), 2);
      segments.add(marker, *required(file.part(at, length)).from(2));
      at += length;
    }
  }
}

}  // namespace autoencoder
