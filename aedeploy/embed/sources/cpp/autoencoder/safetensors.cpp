#include "autoencoder/safetensors.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "autoencoder/error.hpp"
#include "autoencoder/file.hpp"

namespace autoencoder {

namespace {

using Json = nlohmann::json;

constexpr std::uintmax_t max_file_bytes = std::uintmax_t{1} << 30;

// The header's length comes first, as eight bytes.
constexpr std::size_t prefix_bytes = 8;

DType dtype_of(const std::string& name) {
  if (name == "F32") {
    return DType::float32;
  }
  if (name == "I64") {
    return DType::int64;
  }
  if (name == "U8") {
    return DType::uint8;
  }
  throw Error("it has a tensor of type " + name.substr(0, 16) + ", and F32, I64 and U8 are known");
}

/// A number that counts something. Any other number would be converted: −1 to the largest that there is.
std::uint64_t counted(const Json& number) {
  if (!number.is_number_unsigned()) {
    throw Error("its header is not a safetensors header");
  }
  return number.get<std::uint64_t>();
}

Tensor tensor_of(const Json& record, const std::uint8_t* data, std::size_t bytes) {
  const DType dtype = dtype_of(record.at("dtype").get<std::string>());
  Shape shape;
  for (const Json& length : record.at("shape")) {
    shape.push_back(static_cast<std::int64_t>(counted(length)));
  }
  const std::uint64_t first = counted(record.at("data_offsets").at(0));
  const std::uint64_t last = counted(record.at("data_offsets").at(1));
  if (first > last || last > bytes) {
    throw Error("it is cut off, or says of a tensor that it lies outside of it");
  }
  const std::optional<std::size_t> count = count_of(shape, bytes);
  if (!count || *count * bytes_of(dtype) != last - first) {
    throw Error("it has a tensor whose shape does not fit its bytes");
  }
  Tensor tensor = make_tensor(dtype, shape);
  std::copy_n(data + first, last - first, bytes_begin(tensor));
  return tensor;
}

Tensors parse(const std::vector<std::uint8_t>& content) {
  std::uint64_t header_bytes = 0;
  if (content.size() < prefix_bytes) {
    throw Error("it is cut off");
  }
  std::memcpy(&header_bytes, content.data(), prefix_bytes);
  const std::size_t left = content.size() - prefix_bytes;
  if (header_bytes > left) {
    throw Error("it is cut off, or its header's length is wrong");
  }
  const std::uint8_t* first = content.data() + prefix_bytes;
  const std::uint8_t* data = first + header_bytes;
  const Json header = Json::parse(first, data);
  if (!header.is_object()) {
    throw Error("its header is not a safetensors header");
  }
  Tensors tensors;
  for (const auto& [name, record] : header.items()) {
    if (name != "__metadata__") {
      tensors.emplace(name, tensor_of(record, data, left - header_bytes));
    }
  }
  return tensors;
}

}  // namespace

Tensors read_safetensors(const std::filesystem::path& path) {
  const std::vector<std::uint8_t> content = read_file(path, max_file_bytes);
  std::string reason;
  try {
    return parse(content);
  } catch (const Json::exception&) {
    reason = "its header is not a safetensors header";
  } catch (const Error& error) {
    reason = error.what();
  }
  throw Error(path.string() + " is damaged: " + reason + ".");
}

}  // namespace autoencoder
