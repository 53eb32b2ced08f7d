#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "autoencoder/contract_types.hpp"

namespace autoencoder {

using Shape = std::vector<std::int64_t>;

/// Numbers of one type, in row-major order.
struct Tensor {
  Shape shape;
  std::variant<std::vector<float>, std::vector<std::int64_t>, std::vector<std::uint8_t>> values;

  DType dtype() const;
  /// The values of a float32 tensor; throws an Error of any other.
  const std::vector<float>& floats() const;
  /// The values of an int64 tensor; throws an Error of any other.
  const std::vector<std::int64_t>& integers() const;
};

/// By the names of a graph's inputs or outputs.
using Tensors = std::map<std::string, Tensor, std::less<>>;

/// How many bytes a number has.
std::size_t bytes_of(DType dtype);

/// How many numbers a shape holds; nothing where a length is negative, or there are more than `most`.
std::optional<std::size_t> count_of(const Shape& shape, std::size_t most);

/// A tensor of zeros. Throws an Error where there is no such shape, or it is beyond all memory.
Tensor make_tensor(DType dtype, Shape shape);

/// The memory of its values, and how much of it there is.
unsigned char* bytes_begin(Tensor& tensor);
const unsigned char* bytes_begin(const Tensor& tensor);
std::size_t byte_count(const Tensor& tensor);

/// Some rows of the first axis, in the order given, of a float32 tensor.
Tensor rows_of(const Tensor& tensor, const std::vector<std::size_t>& rows);

/// A shape as a person reads it: [3, 1, 28, 28], with "any" for what is left open.
std::string to_text(const Shape& shape);

}  // namespace autoencoder
