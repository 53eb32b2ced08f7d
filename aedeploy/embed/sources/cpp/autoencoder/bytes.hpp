#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "autoencoder/error.hpp"

namespace autoencoder {

/// A part of a file in memory. Whatever would reach beyond it is nothing.
class Bytes {
 public:
  Bytes(const std::uint8_t* first, std::size_t count) : first_(first), count_(count) {}

  const std::uint8_t* begin() const { return first_; }
  const std::uint8_t* end() const { return first_ + count_; }
  std::size_t size() const { return count_; }
  std::uint8_t operator[](std::size_t at) const { return first_[at]; }

  std::optional<Bytes> part(std::size_t from, std::size_t count) const {
    if (from > count_ || count > count_ - from) {
      return std::nullopt;
    }
    return Bytes(first_ + from, count);
  }

  std::optional<Bytes> from(std::size_t start) const { return part(start, count_ - std::min(start, count_)); }

  /// An unsigned number of up to four bytes.
  std::optional<std::uint32_t> number(std::size_t from, std::size_t bytes, bool big_endian = true) const {
    const std::optional<Bytes> found = part(from, bytes);
    if (!found) {
      return std::nullopt;
    }
    std::uint32_t value = 0;
    for (std::size_t at = 0; at < bytes; ++at) {
      value = value << 8U | (*found)[big_endian ? at : bytes - 1 - at];
    }
    return value;
  }

  bool starts_with(std::string_view text) const {
    return count_ >= text.size() &&
           std::equal(text.begin(), text.end(), first_,
                      [](char one, std::uint8_t other) { return static_cast<std::uint8_t>(one) == other; });
  }

 private:
  const std::uint8_t* first_;
  std::size_t count_;
};

/// What a file cannot be read without.
template <typename T>
T required(const std::optional<T>& found) {
  if (!found) {
    throw Error("it is cut off");
  }
  return *found;
}

}  // namespace autoencoder
