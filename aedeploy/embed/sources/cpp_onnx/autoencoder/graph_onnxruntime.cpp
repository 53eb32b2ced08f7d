// ONNX graphs in onnxruntime. The only file that includes its headers.

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "autoencoder/error.hpp"
#include "autoencoder/graph.hpp"

namespace autoencoder {

namespace {

/// One for all graphs: it holds the log, on which warnings are not of interest.
const Ort::Env& environment() {
  static const Ort::Env environment(ORT_LOGGING_LEVEL_ERROR, "autoencoder");
  return environment;
}

ONNXTensorElementDataType type_of(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    case DType::int64:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
    case DType::uint8:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
  }
  throw Error("There is no such dtype.");
}

DType dtype_of(ONNXTensorElementDataType type) {
  for (const DType dtype : {DType::float32, DType::int64, DType::uint8}) {
    if (type == type_of(dtype)) {
      return dtype;
    }
  }
  throw Error("The graph gives a type which is no dtype of the contract.");
}

class OnnxruntimeGraph final : public Graph {
 public:
  OnnxruntimeGraph(const std::filesystem::path& file, const GraphContract& contract)
      : session_(environment(), file.c_str(), Ort::SessionOptions()) {
    for (const TensorContract& input : contract.inputs) {
      inputs_.emplace_back(input.name);
    }
    for (const OutputContract& output : contract.outputs) {
      outputs_.emplace_back(output.tensor.name);
    }
    const Ort::AllocatorWithDefaultOptions allocator;
    bool same = session_.GetInputCount() == inputs_.size() && session_.GetOutputCount() == outputs_.size();
    for (std::size_t at = 0; same && at < inputs_.size(); ++at) {
      same = session_.GetInputNameAllocated(at, allocator).get() == inputs_[at];
    }
    for (std::size_t at = 0; same && at < outputs_.size(); ++at) {
      same = session_.GetOutputNameAllocated(at, allocator).get() == outputs_[at];
    }
    if (!same) {
      throw Error(file.string() +
                  " does not have the inputs and outputs of the contract: it is another graph's file.");
    }
  }

  Tensors run(const Tensors& inputs) override {
    const Ort::MemoryInfo memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    try {
      std::vector<Ort::Value> given;
      for (const std::string& name : inputs_) {
        const Tensor& tensor = inputs.at(name);
        // It is only read, although the interface does not say so.
        auto* data = const_cast<unsigned char*>(bytes_begin(tensor));
        given.push_back(Ort::Value::CreateTensor(memory, data, byte_count(tensor), tensor.shape.data(),
                                                 tensor.shape.size(), type_of(tensor.dtype())));
      }
      const std::vector<const char*> input_names = pointers(inputs_);
      const std::vector<const char*> output_names = pointers(outputs_);
      const std::vector<Ort::Value> results =
          session_.Run(Ort::RunOptions(), input_names.data(), given.data(), given.size(), output_names.data(),
                       output_names.size());
      Tensors outputs;
      for (std::size_t at = 0; at < results.size(); ++at) {
        outputs.emplace(outputs_[at], copied(results[at]));
      }
      return outputs;
    } catch (const Ort::Exception& error) {
      throw Error("onnxruntime failed: " + last_line(error.what()));
    }
  }

 private:
  static std::vector<const char*> pointers(const std::vector<std::string>& names) {
    std::vector<const char*> found;
    std::transform(names.begin(), names.end(), std::back_inserter(found),
                   [](const std::string& name) { return name.c_str(); });
    return found;
  }

  static Tensor copied(const Ort::Value& value) {
    const Ort::TensorTypeAndShapeInfo info = value.GetTensorTypeAndShapeInfo();
    Tensor tensor = make_tensor(dtype_of(info.GetElementType()), info.GetShape());
    std::copy_n(static_cast<const unsigned char*>(value.GetTensorRawData()), byte_count(tensor),
                bytes_begin(tensor));
    return tensor;
  }

  Ort::Session session_;
  std::vector<std::string> inputs_;
  std::vector<std::string> outputs_;
};

}  // namespace

std::unique_ptr<Graph> open_graph(const std::filesystem::path& file, const GraphContract& contract) {
  require_file(file);
  try {
    return std::make_unique<OnnxruntimeGraph>(file, contract);
  } catch (const Ort::Exception& error) {
    throw Error("onnxruntime cannot open " + file.string() + ": " + last_line(error.what()));
  }
}

std::string runtime_version() {
  return std::string("onnxruntime ") + OrtGetApiBase()->GetVersionString();
}

}  // namespace autoencoder
