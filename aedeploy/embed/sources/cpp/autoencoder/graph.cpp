#include "autoencoder/graph.hpp"

#include <algorithm>
#include <optional>
#include <sstream>

#include "autoencoder/error.hpp"

namespace autoencoder {

namespace {

bool fits(const Shape& shape, const View<std::int64_t>& contract) {
  return std::equal(shape.begin(), shape.end(), contract.begin(), contract.end(),
                    [](std::int64_t given, std::int64_t due) { return due == any_length || given == due; });
}

std::string names_of(const View<TensorContract>& inputs) {
  std::string names = inputs.size() == 1 ? "1 input, " : std::to_string(inputs.size()) + " inputs, ";
  for (const TensorContract& input : inputs) {
    names += (&input == inputs.begin() ? "" : " and ") + std::string(input.name);
  }
  return names;
}

}  // namespace

void check_inputs(const GraphContract& contract, const Tensors& inputs) {
  const std::string graph = "The " + std::string(name_of(contract.role));
  std::optional<std::int64_t> batch;
  for (const TensorContract& due : contract.inputs) {
    const auto found = inputs.find(due.name);
    if (found == inputs.end() || inputs.size() != contract.inputs.size()) {
      throw Error(graph + " takes " + names_of(contract.inputs) + ": give that and nothing else.");
    }
    const Tensor& given = found->second;
    const bool well = given.dtype() == due.dtype && fits(given.shape, due.shape) && !given.shape.empty() &&
                      given.shape[0] > 0 && given.shape[0] == batch.value_or(given.shape[0]);
    if (!well) {
      throw Error(graph + " takes " + std::string(due.name) + " as " + std::string(name_of(due.dtype)) + " " +
                  to_text(Shape(due.shape.begin(), due.shape.end())) + ", and was given " +
                  std::string(name_of(given.dtype())) + " " + to_text(given.shape) + ".");
    }
    batch = given.shape[0];
  }
}

void require_file(const std::filesystem::path& file) {
  if (!std::filesystem::is_regular_file(file)) {
    throw Error("There is no file " + file.string() +
                ": the folder of the graphs is another one, or not whole.");
  }
}

std::string last_line(const std::string& message) {
  std::istringstream lines(message);
  std::string line;
  std::string last;
  while (std::getline(lines, line)) {
    const auto first = line.find_first_not_of(" \t\r");
    if (first != std::string::npos) {
      last = line.substr(first, line.find_last_not_of(" \t\r") + 1 - first);
    }
  }
  return last;
}

}  // namespace autoencoder
