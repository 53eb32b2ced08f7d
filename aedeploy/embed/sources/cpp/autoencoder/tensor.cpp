#include "autoencoder/tensor.hpp"

#include <algorithm>
#include <utility>

#include "autoencoder/error.hpp"

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Files and protocol are little-endian, and are copied as they are: this machine is not."
#endif

namespace autoencoder {

namespace {

constexpr std::size_t max_count = std::size_t{1} << 40;

}  // namespace

DType Tensor::dtype() const {
  static_assert(static_cast<int>(DType::float32) == 0 && static_cast<int>(DType::int64) == 1);
  return static_cast<DType>(values.index());
}

const std::vector<float>& Tensor::floats() const {
  if (const auto* found = std::get_if<std::vector<float>>(&values)) {
    return *found;
  }
  throw Error("A tensor is " + std::string(name_of(dtype())) + " where float32 is due.");
}

const std::vector<std::int64_t>& Tensor::integers() const {
  if (const auto* found = std::get_if<std::vector<std::int64_t>>(&values)) {
    return *found;
  }
  throw Error("A tensor is " + std::string(name_of(dtype())) + " where int64 is due.");
}

std::size_t bytes_of(DType dtype) {
  return dtype == DType::float32 ? sizeof(float) : dtype == DType::int64 ? sizeof(std::int64_t) : 1;
}

std::optional<std::size_t> count_of(const Shape& shape, std::size_t most) {
  if (std::any_of(shape.begin(), shape.end(), [](std::int64_t length) { return length < 0; })) {
    return std::nullopt;
  }
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) {
    return 0;
  }
  std::size_t count = 1;
  for (const std::int64_t length : shape) {
    if (static_cast<std::uint64_t>(length) > most / count) {
      return std::nullopt;
    }
    count *= static_cast<std::size_t>(length);
  }
  return count;
}

Tensor make_tensor(DType dtype, Shape shape) {
  const std::optional<std::size_t> count = count_of(shape, max_count);
  if (!count) {
    throw Error("There is no tensor of shape " + to_text(shape) + ".");
  }
  Tensor tensor;
  tensor.shape = std::move(shape);
  switch (dtype) {
    case DType::float32:
      tensor.values = std::vector<float>(*count);
      break;
    case DType::int64:
      tensor.values = std::vector<std::int64_t>(*count);
      break;
    case DType::uint8:
      tensor.values = std::vector<std::uint8_t>(*count);
      break;
  }
  return tensor;
}

unsigned char* bytes_begin(Tensor& tensor) {
  return std::visit([](auto& values) { return reinterpret_cast<unsigned char*>(values.data()); },
                    tensor.values);
}

const unsigned char* bytes_begin(const Tensor& tensor) {
  return std::visit([](const auto& values) { return reinterpret_cast<const unsigned char*>(values.data()); },
                    tensor.values);
}

std::size_t byte_count(const Tensor& tensor) {
  return std::visit([](const auto& values) { return values.size() * sizeof(values[0]); }, tensor.values);
}

Tensor rows_of(const Tensor& tensor, const std::vector<std::size_t>& rows) {
  const std::vector<float>& values = tensor.floats();
  const std::size_t size = values.size() / static_cast<std::size_t>(tensor.shape.at(0));
  std::vector<float> chosen;
  chosen.reserve(size * rows.size());
  for (const std::size_t row : rows) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(row * size);
    chosen.insert(chosen.end(), first, first + static_cast<std::ptrdiff_t>(size));
  }
  Tensor found{tensor.shape, std::move(chosen)};
  found.shape[0] = static_cast<std::int64_t>(rows.size());
  return found;
}

std::string to_text(const Shape& shape) {
  std::string text;
  for (const std::int64_t length : shape) {
    text += (text.empty() ? "" : ", ") + (length == any_length ? "any" : std::to_string(length));
  }
  return "[" + text + "]";
}

}  // namespace autoencoder
