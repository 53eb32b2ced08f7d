#include "cli/latent_json.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>
#include <vector>

#include "autoencoder/error.hpp"
#include "autoencoder/file.hpp"

namespace cli {

using autoencoder::Error;
using autoencoder::Shape;
using autoencoder::Tensor;
using Json = nlohmann::json;

namespace {

constexpr std::uintmax_t max_file_bytes = std::uintmax_t{256} << 20;

template <typename Number>
void write_number(std::ostream& out, Number number) {
  std::array<char, 32> text{};
  const auto written = std::to_chars(text.begin(), text.end(), number);
  out.write(text.data(), written.ptr - text.data());
}

/// Nested arrays, from an axis on; `at` is the next number.
template <typename Number>
void write_nested(std::ostream& out, const Shape& shape, std::size_t axis, const Number*& at) {
  if (axis == shape.size()) {
    write_number(out, *at++);
    return;
  }
  out << "[";
  for (std::int64_t number = 0; number < shape[axis]; ++number) {
    out << (number == 0 ? "" : ", ");
    write_nested(out, shape, axis + 1, at);
  }
  out << "]";
}

void read_nested(const Json& json, const Shape& shape, std::size_t axis, std::vector<float>& values) {
  if (axis == shape.size()) {
    const auto value = json.is_number() ? json.get<float>() : NAN;
    if (!std::isfinite(value)) {
      throw Error("it has something that is not a number of float32");
    }
    values.push_back(value);
    return;
  }
  if (!json.is_array() || json.size() != static_cast<std::size_t>(shape[axis])) {
    throw Error("it holds no latent of this model, whose shape is " + autoencoder::to_text(shape));
  }
  for (const Json& inner : json) {
    read_nested(inner, shape, axis + 1, values);
  }
}

Tensor parse(const std::vector<std::uint8_t>& content, const Shape& shape) {
  const Json json = Json::parse(content.begin(), content.end());
  std::vector<float> values;
  read_nested(json.is_object() ? json.at("latent") : json, shape, 0, values);
  Shape batch = {1};
  batch.insert(batch.end(), shape.begin(), shape.end());
  return {batch, std::move(values)};
}

}  // namespace

void write_latent(std::ostream& out, const autoencoder::Tensors& outputs,
                  const autoencoder::GraphContract& encoder) {
  const char* separator = "{";
  for (const autoencoder::OutputContract& output : encoder.outputs) {
    const Tensor& tensor = outputs.find(output.tensor.name)->second;
    out << separator << "\"" << output.tensor.name << "\": ";
    std::visit(
        [&](const auto& values) {
          const auto* at = values.data();
          write_nested(out, tensor.shape, 1, at);
        },
        tensor.values);
    separator = ", ";
  }
  out << "}\n";
}

Tensor read_latent(const std::filesystem::path& path, const Shape& shape) {
  const std::vector<std::uint8_t> content = autoencoder::read_file(path, max_file_bytes);
  std::string reason;
  try {
    return parse(content, shape);
  } catch (const Json::parse_error&) {
    reason = "it is not JSON";
  } catch (const Json::exception&) {
    reason = "it has no latent";
  } catch (const Error& error) {
    reason = error.what();
  }
  throw Error(path.string() + " cannot be decoded: " + reason + ".");
}

}  // namespace cli
