// What a program knows of the bundle that it was made of. contract.hpp has the values.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace autoencoder {

enum class Role { encoder, decoder, autoencoder };

enum class DType { float32, int64, uint8 };

constexpr std::string_view name_of(Role role) {
  return role == Role::encoder ? "encoder" : role == Role::decoder ? "decoder" : "autoencoder";
}

constexpr std::string_view name_of(DType dtype) {
  return dtype == DType::float32 ? "float32" : dtype == DType::int64 ? "int64" : "uint8";
}

/// A view of an array that lives as long as the program; std::span, before C++20.
template <typename T>
class View {
 public:
  constexpr View() = default;
  template <std::size_t count>
  constexpr View(const std::array<T, count>& array) : first_(array.data()), count_(count) {}

  constexpr const T* begin() const { return first_; }
  constexpr const T* end() const { return first_ + count_; }
  constexpr std::size_t size() const { return count_; }
  constexpr const T& operator[](std::size_t at) const { return first_[at]; }

 private:
  const T* first_ = nullptr;
  std::size_t count_ = 0;
};

/// A length that a graph leaves open: the batch, and the height and width of models that take any.
inline constexpr std::int64_t any_length = -1;

struct FileContract {
  std::string_view path;  // relative to the program's folder
  std::string_view sha256;
  std::uint64_t bytes = 0;
};

struct TensorContract {
  std::string_view name;
  DType dtype = DType::float32;
  View<std::int64_t> shape;
};

/// How far an output may be from the golden one; without a value there is no bound of that sort.
struct Tolerance {
  std::optional<double> absolute;  // of every case: max |error| ≤ absolute + relative · max |golden|
  double relative = 0.0;
  std::optional<double> norm;  // of all cases together: ‖error‖ ≤ norm · ‖golden‖
  std::optional<double> psnr;  // likewise, in dB: at least that
};

struct OutputContract {
  TensorContract tensor;
  Tolerance tolerance;
};

struct GraphContract {
  Role role = Role::encoder;
  FileContract file;
  std::optional<FileContract> data;  // the second file, of formats that have one
  View<TensorContract> inputs;
  View<OutputContract> outputs;
  double decisions = 0.0;  // the share of choices, such as indices, that may fall otherwise
};

struct BundleContract {
  std::string_view name;
  std::string_view digest;
  std::string_view recipe;
  std::string_view summary;
  std::string_view source;
};

struct ImageContract {
  int channels = 1;  // 1: grey, 3: RGB
  int height = 0;
  int width = 0;
  bool dynamic_size = false;  // then any multiple of `multiple_of`, from `minimum` up
  int multiple_of = 1;
  int minimum = 1;
};

struct LatentContract {
  View<std::int64_t> shape;  // of an image of the model's size
  std::string_view kind;     // "vector" or "spatial"
  std::string_view distribution;
  std::optional<std::int64_t> codebook_size;
  bool masked = false;  // all but some entries are exactly 0
};

/// What the model is told of the noise in an image: its standard deviation, in levels of 255.
struct NoiseContract {
  double maximum = 0.0;
};

struct GoldenCase {
  Role role = Role::encoder;
  std::int64_t batch = 1;
};

struct GoldenContract {
  FileContract file;
  View<GoldenCase> cases;
};

struct Contract {
  BundleContract bundle;
  ImageContract image;
  std::optional<LatentContract> latent;  // none of a model that cannot be cut
  std::optional<NoiseContract> noise;    // none of a model that is told nothing
  bool denoises = false;
  std::optional<double>
      noise_sigma;  // the most gaussian noise that it was trained to remove, of values in [0, 1]
  std::string_view format;
  View<GraphContract> graphs;
  GoldenContract golden;
};

/// The graph of a role; null where the bundle has none.
constexpr const GraphContract* find_graph(const Contract& contract, Role role) {
  for (const GraphContract& graph : contract.graphs) {
    if (graph.role == role) {
      return &graph;
    }
  }
  return nullptr;
}

}  // namespace autoencoder
