#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "autoencoder/error.hpp"

namespace autoencoder {

/// A file that is not there, or cannot be read; the message names it.
class FileError : public Error {
 public:
  using Error::Error;
};

/// All of a file. Throws a FileError where it cannot be read, or has more bytes than `most`.
std::vector<std::uint8_t> read_file(const std::filesystem::path& path, std::uintmax_t most);

/// The SHA-256 of a file, in hexadecimal. Throws a FileError where it cannot be read.
std::string sha256_of(const std::filesystem::path& path);

}  // namespace autoencoder
