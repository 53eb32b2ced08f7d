// One graph in whatever runtime the program was built with. A runtime is one file: graph_<runtime>.cpp.

#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "autoencoder/contract_types.hpp"
#include "autoencoder/tensor.hpp"

namespace autoencoder {

class Graph {
 public:
  Graph() = default;
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  virtual ~Graph() = default;

  /// Runs a whole batch of `check_inputs`' inputs; gives all outputs. Throws an Error where the runtime
  /// fails.
  virtual Tensors run(const Tensors& inputs) = 0;
};

/// Opens a graph's file, and makes sure that its inputs and outputs are those of the contract; else throws an
/// Error.
std::unique_ptr<Graph> open_graph(const std::filesystem::path& file, const GraphContract& contract);

/// The runtime's name and version.
std::string runtime_version();

/// Throws an Error unless names, dtypes and shapes of the inputs are those of the contract, all of one batch.
void check_inputs(const GraphContract& contract, const Tensors& inputs);

/// Throws an Error where there is no such file.
void require_file(const std::filesystem::path& file);

/// Of what a runtime has to say of an error, often many lines, the one that says what it is.
std::string last_line(const std::string& message);

}  // namespace autoencoder
