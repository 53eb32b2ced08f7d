#include "cli/conform.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "autoencoder/error.hpp"
#include "autoencoder/image_file.hpp"

namespace cli {

using autoencoder::DType;
using autoencoder::Error;
using autoencoder::Role;
using autoencoder::Shape;
using autoencoder::Tensor;
using autoencoder::Tensors;

namespace {

constexpr std::size_t max_line = 8192;
constexpr std::size_t max_rank = 8;
constexpr std::size_t max_tensors = 16;
constexpr std::size_t max_count = std::size_t{1} << 30;  // of a tensor's numbers
constexpr std::size_t chunk_bytes = std::size_t{1} << 20;

/// Input that is not the protocol: where the next request begins cannot be known.
class ProtocolError : public Error {
 public:
  using Error::Error;
};

/// A line without its end; nothing where the input has ended.
std::optional<std::string> read_line(std::istream& in) {
  std::array<char, max_line> line{};
  in.getline(line.data(), line.size());
  if (in.eof() && in.gcount() == 0) {
    return std::nullopt;
  }
  if (!in || in.eof()) {
    throw ProtocolError(
        "A line of the protocol ends with a line break and has at most 8190 bytes, and this one does not: " +
        std::string(line.data()).substr(0, 40));
  }
  return std::string(line.data(), static_cast<std::size_t>(in.gcount()) - 1);
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find(' '), line.size());
    if (end > 0) {
      words.push_back(line.substr(0, end));
    }
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

std::optional<std::int64_t> number_of(std::string_view word) {
  std::int64_t number = -1;
  const auto parsed = std::from_chars(word.begin(), word.end(), number);
  const bool well = parsed.ec == std::errc() && parsed.ptr == word.end() && number >= 0;
  return well ? std::optional(number) : std::nullopt;
}

std::optional<DType> dtype_of(std::string_view word) {
  for (const DType dtype : {DType::float32, DType::int64, DType::uint8}) {
    if (word == name_of(dtype)) {
      return dtype;
    }
  }
  return std::nullopt;
}

std::optional<Role> role_of(std::string_view word) {
  for (const Role role : {Role::encoder, Role::decoder, Role::autoencoder}) {
    if (word == name_of(role)) {
      return role;
    }
  }
  return std::nullopt;
}

/// Memory is taken as values arrive: a length that somebody made up costs nothing.
template <typename Number>
std::vector<Number> read_values(std::istream& in, std::size_t count) {
  std::vector<Number> values;
  while (values.size() < count) {
    const std::size_t before = values.size();
    values.resize(std::min(count, before + chunk_bytes / sizeof(Number)));
    const std::size_t bytes = (values.size() - before) * sizeof(Number);
    if (!in.read(reinterpret_cast<char*>(values.data() + before), static_cast<std::streamsize>(bytes))) {
      throw ProtocolError("The input ended within a tensor.");
    }
  }
  return values;
}

std::pair<std::string, Tensor> read_tensor(std::istream& in) {
  const std::string line = read_line(in).value_or("");
  const std::vector<std::string_view> words = words_of(line);
  const auto wrong = [&line] {
    return ProtocolError("'tensor NAME DTYPE RANK D0 …' was due, and not '" + line.substr(0, 100) + "'.");
  };
  if (words.size() < 4 || words.size() > 4 + max_rank || words[0] != "tensor") {
    throw wrong();
  }
  const std::optional<DType> dtype = dtype_of(words[2]);
  const std::optional<std::int64_t> rank = number_of(words[3]);
  Shape shape;
  for (std::size_t at = 4; at < words.size(); ++at) {
    shape.push_back(number_of(words[at]).value_or(-1));
  }
  const std::optional<std::size_t> count = autoencoder::count_of(shape, max_count);
  if (!dtype || rank != static_cast<std::int64_t>(shape.size()) || !count) {
    throw wrong();
  }
  Tensor tensor;
  tensor.shape = std::move(shape);
  switch (*dtype) {
    case DType::float32:
      tensor.values = read_values<float>(in, *count);
      break;
    case DType::int64:
      tensor.values = read_values<std::int64_t>(in, *count);
      break;
    case DType::uint8:
      tensor.values = read_values<std::uint8_t>(in, *count);
      break;
  }
  return {std::string(words[1]), std::move(tensor)};
}

void write_tensors(std::ostream& out, const Tensors& tensors) {
  out << "ok " << tensors.size() << "\n";
  for (const auto& [name, tensor] : tensors) {
    out << "tensor " << name << " " << name_of(tensor.dtype()) << " " << tensor.shape.size();
    for (const std::int64_t length : tensor.shape) {
      out << " " << length;
    }
    out << "\n";
    out.write(reinterpret_cast<const char*>(bytes_begin(tensor)),
              static_cast<std::streamsize>(byte_count(tensor)));
  }
  out.flush();
}

void write_message(std::ostream& out, std::string_view kind, std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  out << kind << " " << message << "\n";
  out.flush();
}

void answer_run(autoencoder::Autoencoder& model, const std::string& line, std::istream& in,
                std::ostream& out) {
  const std::vector<std::string_view> words = words_of(line);
  const std::optional<Role> role = words.size() == 3 ? role_of(words[1]) : std::nullopt;
  const std::optional<std::int64_t> count = words.size() == 3 ? number_of(words[2]) : std::nullopt;
  if (!role || !count || *count > static_cast<std::int64_t>(max_tensors)) {
    throw ProtocolError("'run ROLE COUNT' was due, and not '" + line.substr(0, 100) + "'.");
  }
  Tensors inputs;
  for (std::int64_t at = 0; at < *count; ++at) {
    auto [name, tensor] = read_tensor(in);
    inputs.insert_or_assign(name, std::move(tensor));
  }
  if (!model.has(*role)) {
    write_message(out, "skip", "This model has no " + std::string(name_of(*role)) + ".");
    return;
  }
  write_tensors(out, model.run(*role, inputs));
}

void answer_image(autoencoder::Autoencoder& model, const std::string& path, std::ostream& out) {
  if (!model.has(Role::encoder)) {
    write_message(out, "skip", "This model has no encoder.");
    return;
  }
  if (model.contract().noise) {
    write_message(out, "skip",
                  "This model is told how much noise there is, which a request for a file does not say.");
    return;
  }
  write_tensors(out, model.encode({autoencoder::read_image(std::filesystem::u8path(path))}));
}

constexpr std::string_view greeting = "conform 1";
constexpr std::string_view image_request = "image ";
constexpr std::string_view run_request = "run ";

void answer(autoencoder::Autoencoder& model, const std::string& line, std::istream& in, std::ostream& out) {
  if (line == greeting) {
    out << greeting << "\n" << std::flush;
  } else if (line.rfind(run_request, 0) == 0) {
    answer_run(model, line, in, out);
  } else if (line.rfind(image_request, 0) == 0) {
    answer_image(model, line.substr(image_request.size()), out);
  } else {
    throw ProtocolError("'conform 1', 'run ROLE COUNT' or 'image PATH' was due, and not '" +
                        line.substr(0, 100) + "'.");
  }
}

}  // namespace

void conform(autoencoder::Autoencoder& model, std::istream& in, std::ostream& out) {
  while (const std::optional<std::string> line = read_line(in)) {
    try {
      answer(model, *line, in, out);
    } catch (const ProtocolError&) {
      throw;
    } catch (const Error& error) {
      write_message(out, "error", error.what());
    }
  }
}

}  // namespace cli
