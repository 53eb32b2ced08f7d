// A graph's outputs against the golden ones.
//
// An encoder decides: which code stands for a place, which entries of a latent are kept. Where two choices
// are equally good, two engines that both compute rightly may choose differently. So choices are held against
// one another by how many agree, and numbers are compared where the choices do.

#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "autoencoder/contract_types.hpp"
#include "autoencoder/tensor.hpp"

namespace autoencoder {

/// How one output of one call compares. What does not apply has no value.
struct Comparison {
  std::string output;
  std::string failure;                   // why it failed; empty: it passed
  std::optional<double> error;           // the largest, of the numbers that were compared
  std::optional<double> limit;           // of the error
  std::optional<std::size_t> otherwise;  // decisions that fell otherwise
  std::size_t decisions = 0;             // of so many
  double squares = 0.0;                  // of all errors, their sum
  double golden_squares = 0.0;
  std::size_t values = 0;  // how many numbers were compared

  bool passed() const { return failure.empty(); }
};

/// What keeps two tensors from being compared at all, such as NaN; empty: nothing.
std::string malformed(const Tensor& got, const Tensor& golden);

/// All outputs of a graph, in the contract's order. Both have all of them, and no others.
std::vector<Comparison> compare(const Tensors& got, const Tensors& golden, const GraphContract& graph,
                                const std::optional<LatentContract>& latent);

/// In which images of a batch a sound encoder chose another code, or kept another entry.
std::vector<std::size_t> images_decided_otherwise(const Tensors& got, const Tensors& golden);

/// A small number in three digits.
std::string figure(double value);

}  // namespace autoencoder
