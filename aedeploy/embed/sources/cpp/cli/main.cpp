// The command line; the work is in ../autoencoder, which a program of yours can take without this.

#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <locale>
#include <new>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "autoencoder/autoencoder.hpp"
#include "autoencoder/contract.hpp"
#include "autoencoder/error.hpp"
#include "autoencoder/image_file.hpp"
#include "autoencoder/self_test.hpp"
#include "cli/conform.hpp"
#include "cli/latent_json.hpp"

namespace {

using autoencoder::Autoencoder;
using autoencoder::Error;

constexpr int failed = 1;
constexpr int wrong_usage = 2;

constexpr const char* usage = R"(usage: autoencoder [--model FOLDER] COMMAND

  self-test                     check the files, then the golden vectors; a line a check
  encode IMAGE                  print the latent of an image as JSON
  decode LATENT.json OUT.png    make an image of what  encode  printed
  reconstruct IMAGE OUT.png     an image through the encoder and the decoder
  conform                       answer the conformance protocol on stdin and stdout

  --model FOLDER                where the graphs are; by default beside the program, or beside its folder
  --sigma N                     of  encode  and  reconstruct,  of a model that is told how much noise there is, and then
                                needed: the noise's standard deviation in levels of 255
)";

struct Arguments {
  std::optional<std::filesystem::path> model;
  std::optional<double> sigma;
  std::vector<std::string> words;  // the command, and what it is given
};

/// Nothing where it is no number.
std::optional<double> number_of(const std::string& text) {
  std::istringstream stream(text);
  stream.imbue(std::locale::classic());
  double number = 0.0;
  return stream >> number && stream.eof() ? std::optional(number) : std::nullopt;
}

/// Nothing where an option is not one of ours.
std::optional<Arguments> parsed(const std::vector<std::string>& given) {
  Arguments arguments;
  for (auto at = given.begin(); at != given.end(); ++at) {
    if (*at == "--model") {
      if (++at == given.end()) {
        return std::nullopt;
      }
      arguments.model = *at;
    } else if (*at == "--sigma") {
      if (++at == given.end() || !(arguments.sigma = number_of(*at))) {
        return std::nullopt;
      }
    } else if (at->rfind("--", 0) == 0 && *at != "--help") {
      return std::nullopt;
    } else {
      arguments.words.push_back(*at);
    }
  }
  return arguments;
}

/// The folder of the graphs: as it was generated, as it was built, or as it was installed.
std::filesystem::path default_model() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* place : {"model", "../model", "../share/autoencoder/model"}) {
    if (std::filesystem::is_directory(program / place, error)) {
      return program / place;
    }
  }
  throw Error(
      "There is no folder  model  beside the program, or beside its folder: name it with --model FOLDER.");
}

int encode(Autoencoder& model, const std::string& image, std::optional<double> sigma) {
  const autoencoder::GraphContract* encoder = find_graph(model.contract(), autoencoder::Role::encoder);
  const autoencoder::Tensors outputs = model.encode({autoencoder::read_image(image)}, sigma);
  cli::write_latent(std::cout, outputs, *encoder);
  return EXIT_SUCCESS;
}

int decode(Autoencoder& model, const std::string& latent, const std::string& out) {
  const auto& contract = model.contract().latent;
  if (!contract) {
    throw Error("This model cannot be cut into an encoder and a decoder: use  reconstruct.");
  }
  const autoencoder::Shape shape(contract->shape.begin(), contract->shape.end());
  autoencoder::write_png(out, model.decode(cli::read_latent(latent, shape)).front());
  return EXIT_SUCCESS;
}

int reconstruct(Autoencoder& model, const std::string& image, const std::string& out,
                std::optional<double> sigma) {
  autoencoder::write_png(out, model.reconstruct({autoencoder::read_image(image)}, sigma).front());
  return EXIT_SUCCESS;
}

int run(const std::vector<std::string>& given) {
  const std::optional<Arguments> arguments = parsed(given);
  if (!arguments || arguments->words.empty()) {
    std::cerr << usage;
    return wrong_usage;
  }
  const std::vector<std::string>& words = arguments->words;
  const auto is = [&words](const char* command, std::size_t count) {
    return words[0] == command && words.size() == count + 1;
  };
  if (is("--help", 0)) {
    std::cout << usage;
    return EXIT_SUCCESS;
  }
  const bool known =
      is("self-test", 0) || is("encode", 1) || is("decode", 2) || is("reconstruct", 2) || is("conform", 0);
  if (!known) {
    std::cerr << usage;
    return wrong_usage;
  }
  Autoencoder model(autoencoder::contract, arguments->model ? *arguments->model : default_model());
  if (words[0] == "self-test") {
    return autoencoder::self_test(model, std::cout) ? EXIT_SUCCESS : failed;
  }
  if (words[0] == "encode") {
    return encode(model, words[1], arguments->sigma);
  }
  if (words[0] == "decode") {
    return decode(model, words[1], words[2]);
  }
  if (words[0] == "reconstruct") {
    return reconstruct(model, words[1], words[2], arguments->sigma);
  }
  cli::conform(model, std::cin, std::cout);
  return EXIT_SUCCESS;
}

}  // namespace

int main(int count, char** words) {
  try {
    std::ios::sync_with_stdio(false);
    const int status = run({words + 1, words + count});
    std::cout.flush();
    if (!std::cout) {
      throw Error("The standard output cannot be written.");
    }
    return status;
  } catch (const std::bad_alloc&) {
    std::cerr << "error: There is not enough memory.\n";
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
  } catch (...) {
    std::cerr << "error: Something failed that says nothing of itself.\n";
  }
  return failed;
}
