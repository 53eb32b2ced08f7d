// The whole of it for a program that has images: what a bundle's encoder and decoder make of them.
//
//   autoencoder::Autoencoder model(autoencoder::contract, "model");
//   const autoencoder::Tensors code = model.encode({autoencoder::read_image("photo.jpg")});

#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "autoencoder/contract_types.hpp"
#include "autoencoder/graph.hpp"
#include "autoencoder/image.hpp"
#include "autoencoder/tensor.hpp"

namespace autoencoder {

/// A graph is opened when it is first used. One thread at a time; give each thread its own.
class Autoencoder {
 public:
  /// `folder`: where the graphs are; `contract` must outlive this.
  Autoencoder(const Contract& contract, std::filesystem::path folder);

  const Contract& contract() const { return contract_; }

  bool has(Role role) const { return find_graph(contract_, role) != nullptr; }

  /// Where a file of the contract is.
  std::filesystem::path path_of(const FileContract& file) const;

  /// Any number of images, of any size: `latent`, always what the decoder takes, and, by model, `logvar` or
  /// `indices`. `sigma`, of a model that is told the noise (`contract.noise`) and of no other: the noise's
  /// standard deviation in levels of 255.
  Tensors encode(const std::vector<Image>& images, std::optional<double> sigma = std::nullopt);

  /// float32 [batch, …] as `encode` gives it: an image each.
  std::vector<Image> decode(const Tensor& latent);

  /// Of any size, as images of the model's size; `sigma` as `encode` takes it.
  std::vector<Image> reconstruct(const std::vector<Image>& images,
                                 std::optional<double> sigma = std::nullopt);

  /// A graph on a batch of its own inputs. All of these throw an Error where there is no such graph, its file
  /// is not the contract's, the inputs do not fit, or the runtime fails.
  Tensors run(Role role, const Tensors& inputs);

 private:
  /// What a graph takes for images.
  Tensors inputs_of(const std::vector<Image>& images, std::optional<double> sigma) const;

  const Contract& contract_;
  std::filesystem::path folder_;
  std::array<std::unique_ptr<Graph>, 3> graphs_;  // by role
};

}  // namespace autoencoder
