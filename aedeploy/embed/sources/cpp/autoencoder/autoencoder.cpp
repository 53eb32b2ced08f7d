#include "autoencoder/autoencoder.hpp"

#include <algorithm>
#include <sstream>
#include <string>
#include <utility>
#include <variant>

#include "autoencoder/error.hpp"

namespace autoencoder {

namespace {

/// The one output that is due, out of all of them.
const Tensor& output(const Tensors& outputs, std::string_view name) {
  const auto found = outputs.find(name);
  if (found == outputs.end()) {
    throw Error("The graph gave no " + std::string(name) + ".");
  }
  return found->second;
}

/// Models of any size have a rule for it.
void check_size(const ImageContract& contract, const Tensors& inputs) {
  const auto image = inputs.find("image");
  if (image == inputs.end()) {
    return;
  }
  for (const std::size_t axis : {2U, 3U}) {
    const std::int64_t length = image->second.shape.at(axis);
    if (length < contract.minimum || length % contract.multiple_of != 0) {
      throw Error("Height and width must be multiples of " + std::to_string(contract.multiple_of) +
                  ", from " + std::to_string(contract.minimum) + " up, and the image is " +
                  to_text(image->second.shape) + ".");
    }
  }
}

}  // namespace

Autoencoder::Autoencoder(const Contract& contract, std::filesystem::path folder)
    : contract_(contract), folder_(std::move(folder)) {}

std::filesystem::path Autoencoder::path_of(const FileContract& file) const {
  return folder_ / std::filesystem::path(file.path).filename();
}

Tensors Autoencoder::encode(const std::vector<Image>& images, std::optional<double> sigma) {
  return run(Role::encoder, inputs_of(images, sigma));
}

std::vector<Image> Autoencoder::decode(const Tensor& latent) {
  return to_images(output(run(Role::decoder, {{"latent", latent}}), "image"));
}

std::vector<Image> Autoencoder::reconstruct(const std::vector<Image>& images, std::optional<double> sigma) {
  if (!has(Role::autoencoder)) {
    return decode(output(encode(images, sigma), "latent"));
  }
  return to_images(output(run(Role::autoencoder, inputs_of(images, sigma)), "reconstruction"));
}

Tensors Autoencoder::inputs_of(const std::vector<Image>& images, std::optional<double> sigma) const {
  if (!contract_.noise && sigma) {
    throw Error("This model is told nothing of the noise: leave sigma out.");
  }
  // Also of NaN.
  if (contract_.noise && !(sigma && *sigma >= 0.0 && *sigma <= contract_.noise->maximum)) {
    std::ostringstream said;
    said << "This model is told how much noise there is: give sigma, its standard deviation in levels of "
            "255, from 0 to "
         << contract_.noise->maximum << ".";
    throw Error(said.str());
  }
  Tensors inputs = {{"image", to_tensor(images, contract_.image)}};
  if (sigma) {
    const Shape& shape = inputs.at("image").shape;
    Tensor map = make_tensor(DType::float32, {shape[0], 1, shape[2], shape[3]});
    auto& values = std::get<std::vector<float>>(map.values);
    std::fill(values.begin(), values.end(), static_cast<float>(*sigma));
    inputs.emplace("sigma", std::move(map));
  }
  return inputs;
}

Tensors Autoencoder::run(Role role, const Tensors& inputs) {
  const GraphContract* graph = find_graph(contract_, role);
  if (graph == nullptr) {
    throw Error("This model has no " + std::string(name_of(role)) + ".");
  }
  check_inputs(*graph, inputs);
  check_size(contract_.image, inputs);
  std::unique_ptr<Graph>& opened = graphs_.at(static_cast<std::size_t>(role));
  if (opened == nullptr) {
    opened = open_graph(path_of(graph->file), *graph);
  }
  return opened->run(inputs);
}

}  // namespace autoencoder
