#include "autoencoder/autoencoder.hpp"

#include <string>
#include <utility>

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

Tensors Autoencoder::encode(const std::vector<Image>& images) {
  return run(Role::encoder, {{"image", to_tensor(images, contract_.image)}});
}

std::vector<Image> Autoencoder::decode(const Tensor& latent) {
  return to_images(output(run(Role::decoder, {{"latent", latent}}), "image"));
}

std::vector<Image> Autoencoder::reconstruct(const std::vector<Image>& images) {
  if (!has(Role::autoencoder)) {
    return decode(output(encode(images), "latent"));
  }
  const Tensors outputs = run(Role::autoencoder, {{"image", to_tensor(images, contract_.image)}});
  return to_images(output(outputs, "reconstruction"));
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
