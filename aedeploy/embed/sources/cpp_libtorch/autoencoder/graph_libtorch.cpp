// TorchScript graphs in libtorch. The only file that includes its headers, which take C++20 and their time.

#include <torch/script.h>
#include <torch/version.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "autoencoder/error.hpp"
#include "autoencoder/graph.hpp"

namespace autoencoder {

namespace {

c10::ScalarType type_of(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return c10::kFloat;
    case DType::int64:
      return c10::kLong;
    case DType::uint8:
      return c10::kByte;
  }
  throw Error("There is no such dtype.");
}

DType dtype_of(c10::ScalarType type) {
  for (const DType dtype : {DType::float32, DType::int64, DType::uint8}) {
    if (type == type_of(dtype)) {
      return dtype;
    }
  }
  throw Error(std::string("The graph gives ") + c10::toString(type) + ", which is no dtype of the contract.");
}

at::Tensor given(const Tensor& tensor) {
  at::Tensor made = at::empty(tensor.shape, type_of(tensor.dtype()));
  std::copy_n(bytes_begin(tensor), byte_count(tensor), static_cast<unsigned char*>(made.data_ptr()));
  return made;
}

Tensor copied(const at::Tensor& result) {
  const at::Tensor made = result.contiguous();
  Tensor tensor = make_tensor(dtype_of(made.scalar_type()), made.sizes().vec());
  std::copy_n(static_cast<const unsigned char*>(made.const_data_ptr()), byte_count(tensor),
              bytes_begin(tensor));
  return tensor;
}

/// TorchScript's tensors have no names: they come in the contract's order.
class LibtorchGraph final : public Graph {
 public:
  LibtorchGraph(torch::jit::Module module, const GraphContract& contract)
      : module_(std::move(module)), contract_(contract) {}

  Tensors run(const Tensors& inputs) override {
    const c10::InferenceMode guard;
    try {
      std::vector<c10::IValue> arguments;
      for (const TensorContract& input : contract_.inputs) {
        arguments.emplace_back(given(inputs.find(input.name)->second));
      }
      return named(module_.forward(std::move(arguments)));
    } catch (const c10::Error& error) {
      throw Error("libtorch failed: " + last_line(error.what_without_backtrace()));
    }
  }

 private:
  Tensors named(const c10::IValue& result) const {
    std::vector<c10::IValue> results = {result};
    if (result.isTuple()) {
      const auto& elements = result.toTupleRef().elements();
      results.assign(elements.begin(), elements.end());
    }
    if (results.size() != contract_.outputs.size()) {
      throw Error("The graph gave " + std::to_string(results.size()) + " outputs where the contract has " +
                  std::to_string(contract_.outputs.size()) + ": it is another graph's file.");
    }
    Tensors outputs;
    for (std::size_t at = 0; at < results.size(); ++at) {
      outputs.emplace(contract_.outputs[at].tensor.name, copied(results[at].toTensor()));
    }
    return outputs;
  }

  torch::jit::Module module_;
  const GraphContract& contract_;
};

}  // namespace

std::unique_ptr<Graph> open_graph(const std::filesystem::path& file, const GraphContract& contract) {
  require_file(file);
  try {
    torch::jit::Module module = torch::jit::load(file.string(), c10::kCPU);
    module.eval();
    // The module itself is an input too.
    const std::size_t inputs = module.get_method("forward").function().getSchema().arguments().size() - 1;
    if (inputs != contract.inputs.size()) {
      throw Error(file.string() + " does not have the inputs of the contract: it is another graph's file.");
    }
    return std::make_unique<LibtorchGraph>(std::move(module), contract);
  } catch (const c10::Error& error) {
    throw Error("libtorch cannot open " + file.string() + ": " + last_line(error.what_without_backtrace()));
  }
}

std::string runtime_version() {
  return "libtorch " TORCH_VERSION;
}

}  // namespace autoencoder
