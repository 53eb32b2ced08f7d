// Latents as the commands `encode` and `decode` exchange them: {"latent": nested arrays of one image's shape,
// …}.

#pragma once

#include <filesystem>
#include <ostream>

#include "autoencoder/contract_types.hpp"
#include "autoencoder/tensor.hpp"

namespace cli {

/// Writes an encoder's outputs for one image as one JSON object, without the axis of the batch, in the
/// contract's order. Numbers are the shortest that read back as the same float32.
void write_latent(std::ostream& out, const autoencoder::Tensors& outputs,
                  const autoencoder::GraphContract& encoder);

/// Reads `latent` of such an object, or its arrays alone, as a batch of one. Throws an Error if it is none,
/// or not of `shape`.
autoencoder::Tensor read_latent(const std::filesystem::path& path, const autoencoder::Shape& shape);

}  // namespace cli
