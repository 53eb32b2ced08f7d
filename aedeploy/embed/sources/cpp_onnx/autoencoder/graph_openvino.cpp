// ONNX graphs in OpenVINO. The only file that includes its headers.

#include <algorithm>
#include <openvino/openvino.hpp>
#include <utility>
#include <vector>

#include "autoencoder/error.hpp"
#include "autoencoder/graph.hpp"

namespace autoencoder {

namespace {

/// One for all graphs: it holds the loaded plugins.
ov::Core& core() {
  static ov::Core core;
  return core;
}

ov::element::Type type_of(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return ov::element::f32;
    case DType::int64:
      return ov::element::i64;
    case DType::uint8:
      return ov::element::u8;
  }
  throw Error("There is no such dtype.");
}

DType dtype_of(const ov::element::Type& type) {
  for (const DType dtype : {DType::float32, DType::int64, DType::uint8}) {
    if (type == type_of(dtype)) {
      return dtype;
    }
  }
  throw Error("The graph gives " + type.get_type_name() + ", which is no dtype of the contract.");
}

/// Whether a port goes by that name; a tensor that passes through unchanged has more than one.
bool is_named(const ov::Output<const ov::Node>& port, std::string_view name) {
  return port.get_names().count(std::string(name)) != 0;
}

class OpenvinoGraph final : public Graph {
 public:
  OpenvinoGraph(ov::CompiledModel compiled, const GraphContract& contract)
      : compiled_(std::move(compiled)), contract_(contract), request_(compiled_.create_infer_request()) {}

  Tensors run(const Tensors& inputs) override {
    try {
      for (const auto& [name, tensor] : inputs) {
        const ov::Shape shape(tensor.shape.begin(), tensor.shape.end());
        ov::Tensor input(type_of(tensor.dtype()), shape);
        std::copy_n(bytes_begin(tensor), byte_count(tensor), static_cast<unsigned char*>(input.data()));
        request_.set_tensor(name, input);
      }
      request_.infer();
      Tensors outputs;
      for (const OutputContract& output : contract_.outputs) {
        outputs.emplace(output.tensor.name, copied(request_.get_tensor(std::string(output.tensor.name))));
      }
      return outputs;
    } catch (const ov::Exception& error) {
      throw Error("OpenVINO failed: " + last_line(error.what()));
    }
  }

 private:
  /// The request's own memory is written over by the next call.
  static Tensor copied(const ov::Tensor& output) {
    const ov::Shape shape = output.get_shape();
    Tensor tensor = make_tensor(dtype_of(output.get_element_type()), Shape(shape.begin(), shape.end()));
    std::copy_n(static_cast<const unsigned char*>(output.data()), byte_count(tensor), bytes_begin(tensor));
    return tensor;
  }

  ov::CompiledModel compiled_;
  const GraphContract& contract_;
  ov::InferRequest request_;
};

void check_ports(const ov::CompiledModel& compiled, const GraphContract& contract, const std::string& file) {
  bool same = compiled.inputs().size() == contract.inputs.size() &&
              compiled.outputs().size() == contract.outputs.size();
  for (std::size_t at = 0; same && at < contract.inputs.size(); ++at) {
    same = is_named(compiled.inputs()[at], contract.inputs[at].name);
  }
  for (std::size_t at = 0; same && at < contract.outputs.size(); ++at) {
    same = is_named(compiled.outputs()[at], contract.outputs[at].tensor.name);
  }
  if (!same) {
    throw Error(file + " does not have the inputs and outputs of the contract: it is another graph's file.");
  }
}

}  // namespace

std::unique_ptr<Graph> open_graph(const std::filesystem::path& file, const GraphContract& contract) {
  require_file(file);
  try {
    ov::CompiledModel compiled = core().compile_model(
        file.string(), "CPU",
        // Its own choice would be bfloat16 on processors that have it, which is 7e-3 off.
        ov::hint::inference_precision(ov::element::f32),
        ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY));
    check_ports(compiled, contract, file.string());
    return std::make_unique<OpenvinoGraph>(std::move(compiled), contract);
  } catch (const ov::Exception& error) {
    throw Error("OpenVINO cannot open " + file.string() + ": " + last_line(error.what()));
  }
}

std::string runtime_version() {
  return "OpenVINO " + std::string(ov::get_openvino_version().buildNumber);
}

}  // namespace autoencoder
