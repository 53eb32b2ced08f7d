#include "autoencoder/self_test.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "autoencoder/comparison.hpp"
#include "autoencoder/error.hpp"
#include "autoencoder/file.hpp"
#include "autoencoder/safetensors.hpp"

namespace autoencoder {

namespace {

float furthest(const float* one, const float* other, std::size_t count) {
  float most = 0.0F;
  for (std::size_t at = 0; at < count; ++at) {
    most = std::max(most, std::abs(one[at] - other[at]));
  }
  return most;
}

std::string decibels(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f dB", value);
  return text;
}

/// One run of the self-test.
class SelfTest {
 public:
  SelfTest(Autoencoder& model, std::ostream& report)
      : model_(model), contract_(model.contract()), report_(report) {}

  bool run() {
    for (const GraphContract& graph : contract_.graphs) {
      const bool data = !graph.data || check_file(*graph.data);
      if (check_file(graph.file) && data) {
        whole_.insert(graph.role);
      }
    }
    check_file(contract_.golden.file);
    check_golden();
    report_ << (failures_ == 0 ? "passed: " : "FAILED: " + std::to_string(failures_) + " of ") << checks_
            << " checks, with " << runtime_version() << "\n";
    return failures_ == 0 && checks_ > 0;
  }

 private:
  /// A batch that went through the encoder, and whether what came out is right.
  struct Encoded {
    Tensor image;
    Tensors got;
    Tensors golden;
    bool sound = false;
  };

  void note(const std::string& subject, const std::string& failure, const std::string& found = "") {
    ++checks_;
    failures_ += failure.empty() ? 0 : 1;
    report_ << (failure.empty() ? "ok      " : "FAILED  ") << subject
            << (failure.empty() && found.empty() ? "" : ": ") << (failure.empty() ? found : failure) << "\n";
  }

  bool check_file(const FileContract& file) {
    const std::filesystem::path path = model_.path_of(file);
    std::string failure;
    try {
      if (sha256_of(path) != file.sha256) {
        failure =
            "its SHA-256 is not the contract's: the file is damaged, or another model's; write the program "
            "again";
      }
    } catch (const FileError& error) {
      failure = error.what();
    }
    note(path.filename().string(), failure, "its SHA-256 is the contract's");
    return failure.empty();
  }

  void check_golden() {
    Tensors golden;
    try {
      // Also of a file that is not the contract's: what it says is compared, nothing in it is run.
      golden = read_safetensors(model_.path_of(contract_.golden.file));
    } catch (const Error& error) {
      note("golden vectors", error.what());
      return;
    }
    for (const GoldenCase& one : contract_.golden.cases) {
      const std::string subject = std::string(name_of(one.role)) + ", batch " + std::to_string(one.batch);
      try {
        check_case(one, subject, golden);
      } catch (const Error& error) {
        note(subject, error.what());
      }
    }
    for (const GraphContract& graph : contract_.graphs) {
      for (const OutputContract& output : graph.outputs) {
        check_together(graph.role, output);
      }
    }
    if (contract_.golden.cases.size() == 0) {
      note("golden vectors", "the contract names none, so nothing was proven");
    }
  }

  void check_case(const GoldenCase& one, const std::string& subject, const Tensors& golden) {
    const GraphContract* graph = find_graph(contract_, one.role);
    if (graph == nullptr || whole_.count(one.role) == 0) {
      throw Error("it is not run: its file is not the contract's");
    }
    Tensors inputs;
    Tensors want;
    const std::string prefix = std::string(name_of(one.role)) + "/" + std::to_string(one.batch) + "/";
    for (const TensorContract& input : graph->inputs) {
      inputs.emplace(input.name, required(golden, prefix + std::string(input.name)));
    }
    for (const OutputContract& output : graph->outputs) {
      want.emplace(output.tensor.name, required(golden, prefix + std::string(output.tensor.name)));
    }
    for (auto found = golden.lower_bound(prefix); found != golden.end() && found->first.rfind(prefix, 0) == 0;
         ++found) {
      const std::string name = found->first.substr(prefix.size());
      if (inputs.count(name) == 0 && want.count(name) == 0) {
        throw Error("the golden file has " + found->first + ", of which the contract knows nothing");
      }
    }
    const Tensors got = model_.run(one.role, inputs);
    if (one.role == Role::autoencoder) {
      accept_other_decisions(one.batch, inputs, got, want);
    }
    bool sound = true;
    for (const Comparison& comparison : compare(got, want, *graph, contract_.latent)) {
      sound = sound && comparison.passed();
      note(subject + ", " + comparison.output, comparison.failure, described(comparison));
      together_[{one.role, comparison.output}].push_back(comparison);
    }
    if (one.role == Role::encoder) {
      encoded_[one.batch] = {inputs.at("image"), got, want, sound};
    }
  }

  static const Tensor& required(const Tensors& golden, const std::string& name) {
    const auto found = golden.find(name);
    if (found == golden.end()) {
      throw Error("the golden file has no " + name);
    }
    return found->second;
  }

  static std::string described(const Comparison& comparison) {
    std::string text;
    if (comparison.error) {
      text = "error " + figure(*comparison.error);
      text += comparison.limit ? ", limit " + figure(*comparison.limit) : "";
    }
    if (comparison.otherwise) {
      text += (text.empty() ? "" : "; ") + std::to_string(*comparison.otherwise) + " of " +
              std::to_string(comparison.decisions) + " decided otherwise";
    }
    return text;
  }

  /// Where a sound encoder decided otherwise than the golden one, an image is also right when it is what the
  /// decoder makes of that other latent: the nearer of the two is what is wanted.
  void accept_other_decisions(std::int64_t batch, const Tensors& inputs, const Tensors& got, Tensors& want) {
    const auto encoded = encoded_.find(batch);
    Tensor& golden = want.at("reconstruction");
    const auto mine = got.find("reconstruction");
    if (encoded == encoded_.end() || !encoded->second.sound || whole_.count(Role::decoder) == 0 ||
        mine == got.end() || golden.dtype() != DType::float32 || !malformed(mine->second, golden).empty()) {
      return;
    }
    const Encoded& code = encoded->second;
    const Tensor& image = inputs.at("image");
    if (image.shape != code.image.shape || image.values != code.image.values) {
      return;
    }
    const std::vector<std::size_t> rows = images_decided_otherwise(code.got, code.golden);
    if (rows.empty()) {
      return;
    }
    const Tensors decoded = model_.run(Role::decoder, {{"latent", rows_of(code.got.at("latent"), rows)}});
    const Tensor& other = decoded.at("image");
    if (!malformed(other, rows_of(golden, rows)).empty()) {
      return;
    }
    auto& wanted = std::get<std::vector<float>>(golden.values);
    const std::size_t size = other.floats().size() / rows.size();
    for (std::size_t at = 0; at < rows.size(); ++at) {
      const float* own = mine->second.floats().data() + rows[at] * size;
      const float* made = other.floats().data() + at * size;
      float* original = wanted.data() + rows[at] * size;
      if (furthest(own, made, size) < furthest(own, original, size)) {
        std::copy_n(made, size, original);
      }
    }
  }

  /// What is judged over all batches of an output.
  void check_together(Role role, const OutputContract& output) {
    const auto found = together_.find({role, std::string(output.tensor.name)});
    if (found == together_.end()) {
      return;
    }
    double squares = 0.0;
    double golden_squares = 0.0;
    double values = 0.0;
    for (const Comparison& comparison : found->second) {
      squares += comparison.squares;
      golden_squares += comparison.golden_squares;
      values += static_cast<double>(comparison.values);
    }
    const std::string subject =
        std::string(name_of(role)) + ", all batches, " + std::string(output.tensor.name);
    if (output.tolerance.norm) {
      const double relative = squares == 0.0 ? 0.0 : std::sqrt(squares / golden_squares);
      const std::string limit = figure(*output.tolerance.norm);
      note(subject,
           relative <= *output.tolerance.norm
               ? ""
               : "its relative error " + figure(relative) + " is above the tolerance " + limit,
           "relative error " + figure(relative) + ", limit " + limit);
    }
    if (output.tolerance.psnr) {
      const double psnr = 10.0 * std::log10(values / squares);
      const std::string limit = decibels(*output.tolerance.psnr);
      note(subject, psnr >= *output.tolerance.psnr ? "" : decibels(psnr) + " is below the tolerance " + limit,
           decibels(psnr) + ", at least " + limit);
    }
  }

  Autoencoder& model_;
  const Contract& contract_;
  std::ostream& report_;
  std::set<Role> whole_;  // whose files are the contract's
  std::map<std::int64_t, Encoded> encoded_;
  std::map<std::pair<Role, std::string>, std::vector<Comparison>> together_;
  int checks_ = 0;
  int failures_ = 0;
};

}  // namespace

bool self_test(Autoencoder& model, std::ostream& report) {
  return SelfTest(model, report).run();
}

}  // namespace autoencoder
