#include "autoencoder/comparison.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace autoencoder {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Where an entry of batch × channels × height × width lies in batch × height × width.
class Places {
 public:
  explicit Places(const Shape& shape) {
    channels_ = shape.size() > 1 ? static_cast<std::size_t>(shape[1]) : 1;
    for (std::size_t axis = 2; axis < shape.size(); ++axis) {
      inner_ *= static_cast<std::size_t>(shape[axis]);
    }
  }

  std::size_t channels() const { return channels_; }
  std::size_t operator()(std::size_t entry) const {
    return entry / (channels_ * inner_) * inner_ + entry % inner_;
  }

 private:
  std::size_t channels_ = 1;
  std::size_t inner_ = 1;
};

double magnitude(float value) {
  return std::abs(static_cast<double>(value));
}

std::optional<double> limit_of(const Tolerance& tolerance, const std::vector<float>& golden) {
  if (!tolerance.absolute) {
    return std::nullopt;
  }
  double peak = 0.0;
  for (const float value : golden) {
    peak = std::max(peak, magnitude(value));
  }
  return *tolerance.absolute + tolerance.relative * peak;
}

template <typename Judged>
Comparison compare_floats(const OutputContract& output, const Tensor& got, const Tensor& golden,
                          Judged judged) {
  const std::vector<float>& mine = got.floats();
  const std::vector<float>& want = golden.floats();
  Comparison found;
  found.limit = limit_of(output.tolerance, want);
  double largest = 0.0;
  for (std::size_t at = 0; at < want.size(); ++at) {
    if (judged(at)) {
      const double error = std::abs(static_cast<double>(mine[at]) - static_cast<double>(want[at]));
      largest = std::max(largest, error);
      found.squares += error * error;
      found.golden_squares += magnitude(want[at]) * magnitude(want[at]);
      ++found.values;
    }
  }
  found.error = largest;
  // Written so that NaN, which is never ≤ anything, fails. Whoever computed in another order may be at the
  // limit.
  if (found.limit && !(largest <= *found.limit * (1.0 + 1e-9))) {
    found.failure = "its error " + figure(largest) + " is above the tolerance " + figure(*found.limit);
  }
  return found;
}

/// Whether no more decisions fell otherwise than may: `least` where the share would allow fewer, but never
/// all.
void judge_number(Comparison& counted, double share, std::size_t least, const std::string& what) {
  const auto by_share = static_cast<std::size_t>(share * static_cast<double>(counted.decisions));
  const std::size_t all_but_one = std::max<std::size_t>(counted.decisions, 1) - 1;
  const std::size_t allowed = std::min(std::max(least, by_share), all_but_one);
  const std::size_t otherwise = counted.otherwise.value_or(0);
  if (otherwise > allowed) {
    counted.failure = std::to_string(otherwise) + " of " + std::to_string(counted.decisions) + " " + what +
                      ", and no more than " + std::to_string(allowed) + " may be";
  }
}

Comparison compare_indices(const Tensor& got, const Tensor& golden, double share) {
  const std::vector<std::int64_t>& mine = got.integers();
  const std::vector<std::int64_t>& want = golden.integers();
  Comparison counted;
  counted.decisions = want.size();
  std::size_t otherwise = 0;
  for (std::size_t at = 0; at < want.size(); ++at) {
    otherwise += mine[at] != want[at] ? 1U : 0U;
  }
  counted.otherwise = otherwise;
  judge_number(counted, share, 1, "indices are others");
  return counted;
}

/// The entries that are 0 on one side and not on the other because a choice may have left them out: those as
/// small as the least that is kept. At a place where both keep as many, that is the place's own least (of the
/// k largest); where they do not, the least of all places (above a threshold).
std::vector<bool> flipped_entries(const std::vector<float>& got, const std::vector<float>& golden,
                                  const Places& place, std::optional<double> limit) {
  const std::size_t places = golden.size() / place.channels();
  std::vector<double> least(places, infinity);
  std::vector<int> surplus(places);
  const auto value = [&](std::size_t at) {
    const float kept = golden[at] != 0.0F ? golden[at] : got[at];
    return kept != 0.0F ? static_cast<double>(kept) : infinity;
  };
  for (std::size_t at = 0; at < golden.size(); ++at) {
    least[place(at)] = std::min(least[place(at)], value(at));
    surplus[place(at)] += (got[at] != 0.0F ? 1 : 0) - (golden[at] != 0.0F ? 1 : 0);
  }
  const double least_of_all = *std::min_element(least.begin(), least.end());
  std::vector<bool> flipped(golden.size());
  for (std::size_t at = 0; at < golden.size(); ++at) {
    const double error = std::abs(static_cast<double>(got[at]) - static_cast<double>(golden[at]));
    if ((got[at] != 0.0F) != (golden[at] != 0.0F) && error > limit.value_or(0.0)) {
      const double edge = surplus[place(at)] == 0 ? least[place(at)] : least_of_all;
      flipped[at] = !limit || value(at) <= edge + *limit;
    }
  }
  return flipped;
}

Comparison compare_masked(const OutputContract& output, const Tensor& got, const Tensor& golden,
                          double share) {
  const std::vector<float>& want = golden.floats();
  const std::vector<bool> flipped =
      flipped_entries(got.floats(), want, Places(golden.shape), limit_of(output.tolerance, want));
  Comparison found = compare_floats(output, got, golden, [&](std::size_t at) { return !flipped[at]; });
  found.otherwise = static_cast<std::size_t>(std::count(flipped.begin(), flipped.end(), true));
  found.decisions = want.size();
  if (found.passed()) {
    // Two at the least: one entry in the place of another.
    judge_number(found, share, 2, "entries are kept by one and not by the other");
  }
  return found;
}

Comparison compare_latent_of_indices(const OutputContract& output, const Tensors& got,
                                     const Tensors& golden) {
  const Tensor& mine = got.at("latent");
  const Tensor& want = golden.at("latent");
  const std::vector<std::int64_t>& chosen = got.at("indices").integers();
  const std::vector<std::int64_t>& due = golden.at("indices").integers();
  const Places place(want.shape);
  if (want.floats().size() != due.size() * place.channels()) {
    Comparison failed;
    failed.failure = "there is not an index for each of its places";
    return failed;
  }
  return compare_floats(output, mine, want,
                        [&](std::size_t at) { return chosen[place(at)] == due[place(at)]; });
}

Comparison compare_output(const OutputContract& output, const Tensors& got, const Tensors& golden,
                          const GraphContract& graph, bool masked) {
  const std::string name(output.tensor.name);
  const Tensor& mine = got.at(name);
  const Tensor& want = golden.at(name);
  Comparison failed;
  failed.failure = malformed(mine, want);
  if (!failed.passed()) {
    return failed;
  }
  if (want.dtype() == DType::int64) {
    return compare_indices(mine, want, graph.decisions);
  }
  if (want.dtype() != DType::float32) {
    failed.failure = "nothing is known of outputs that are " + std::string(name_of(want.dtype()));
    return failed;
  }
  const auto indices = golden.find("indices");
  if (name == "latent" && indices != golden.end() && malformed(got.at("indices"), indices->second).empty()) {
    return compare_latent_of_indices(output, got, golden);
  }
  if (name == "latent" && masked) {
    return compare_masked(output, mine, want, graph.decisions);
  }
  return compare_floats(output, mine, want, [](std::size_t) { return true; });
}

bool all_finite(const Tensor& tensor) {
  if (tensor.dtype() != DType::float32) {
    return true;
  }
  const std::vector<float>& values = tensor.floats();
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

}  // namespace

std::string malformed(const Tensor& got, const Tensor& golden) {
  if (got.dtype() != golden.dtype()) {
    return "it is " + std::string(name_of(got.dtype())) + " where the golden one is " +
           std::string(name_of(golden.dtype()));
  }
  if (got.shape != golden.shape) {
    return "its shape is " + to_text(got.shape) + " where the golden one is " + to_text(golden.shape);
  }
  if (!all_finite(golden)) {
    return "the golden one has NaN or infinity";
  }
  return all_finite(got) ? "" : "it has NaN or infinity";
}

std::vector<Comparison> compare(const Tensors& got, const Tensors& golden, const GraphContract& graph,
                                const std::optional<LatentContract>& latent) {
  std::vector<Comparison> found;
  for (const OutputContract& output : graph.outputs) {
    found.push_back(compare_output(output, got, golden, graph, latent && latent->masked));
    found.back().output = output.tensor.name;
  }
  return found;
}

std::vector<std::size_t> images_decided_otherwise(const Tensors& got, const Tensors& golden) {
  std::vector<bool> differ;
  const auto images = static_cast<std::size_t>(golden.at("latent").shape.at(0));
  if (golden.count("indices") != 0) {
    const std::vector<std::int64_t>& mine = got.at("indices").integers();
    const std::vector<std::int64_t>& want = golden.at("indices").integers();
    for (std::size_t at = 0; at < want.size(); ++at) {
      differ.push_back(mine[at] != want[at]);
    }
  } else {
    const std::vector<float>& mine = got.at("latent").floats();
    const std::vector<float>& want = golden.at("latent").floats();
    for (std::size_t at = 0; at < want.size(); ++at) {
      differ.push_back((mine[at] != 0.0F) != (want[at] != 0.0F));
    }
  }
  std::vector<std::size_t> found;
  const auto each = static_cast<std::ptrdiff_t>(differ.size() / images);
  for (std::size_t image = 0; image < images; ++image) {
    const auto first = differ.begin() + static_cast<std::ptrdiff_t>(image) * each;
    if (std::find(first, first + each, true) != first + each) {
      found.push_back(image);
    }
  }
  return found;
}

std::string figure(double value) {
  char text[32];
  std::snprintf(text, sizeof text, value == 0.0 ? "%.0f" : "%.2e", value);
  return text;
}

}  // namespace autoencoder
