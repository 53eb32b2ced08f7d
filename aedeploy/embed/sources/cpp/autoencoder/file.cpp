#include "autoencoder/file.hpp"

#include <openssl/evp.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>

namespace autoencoder {

namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& reason) {
  throw FileError(path.string() + " cannot be read: " + reason + ".");
}

std::ifstream opened(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    fail(path, "it is a folder");
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    fail(path, errno != 0 ? std::generic_category().message(errno) : "it does not open");
  }
  return file;
}

}  // namespace

std::vector<std::uint8_t> read_file(const std::filesystem::path& path, std::uintmax_t most) {
  std::ifstream file = opened(path);
  std::vector<std::uint8_t> content;
  std::array<char, 1 << 16> chunk{};
  // By what is there, not by what a size promises: it may be a pipe, or grow.
  while (file.read(chunk.data(), chunk.size()) || file.gcount() > 0) {
    content.insert(content.end(), chunk.begin(), chunk.begin() + file.gcount());
    if (content.size() > most) {
      fail(path, "it has more than " + std::to_string(most >> 20U) + " MiB");
    }
  }
  if (file.bad()) {
    fail(path, "its content cannot be read");
  }
  return content;
}

std::string sha256_of(const std::filesystem::path& path) {
  std::ifstream file = opened(path);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  bool well = context != nullptr && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  std::array<char, 1 << 16> chunk{};
  while (well && (file.read(chunk.data(), chunk.size()) || file.gcount() > 0)) {
    well = EVP_DigestUpdate(context.get(), chunk.data(), static_cast<std::size_t>(file.gcount())) == 1;
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int bytes = 0;
  if (!well || file.bad() || EVP_DigestFinal_ex(context.get(), digest.data(), &bytes) != 1) {
    fail(path, "its digest cannot be computed");
  }
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (unsigned int at = 0; at < bytes; ++at) {
    text += digits[digest[at] >> 4U];
    text += digits[digest[at] & 15U];
  }
  return text;
}

}  // namespace autoencoder
