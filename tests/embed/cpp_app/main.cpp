// Somebody's program around the library: what the tests look at from within.
//
//   app pixels           paths, one a line; answered with WIDTH HEIGHT CHANNELS in a line and pixels, or with
//   an error app resize           lines of WIDTH HEIGHT CHANNELS NEW_WIDTH NEW_HEIGHT, each followed by
//   pixels; answered with pixels app batch MODEL IMAGE…   how far the latents of images in one batch are from
//   those of each image alone

#include <algorithm>
#include <cmath>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "autoencoder/autoencoder.hpp"
#include "autoencoder/contract.hpp"
#include "autoencoder/error.hpp"
#include "autoencoder/image_file.hpp"
#include "autoencoder/resample.hpp"

namespace {

using autoencoder::Image;

void write(const Image& image) {
  std::cout.write(reinterpret_cast<const char*>(image.pixels.data()),
                  static_cast<std::streamsize>(image.pixels.size()));
  std::cout.flush();
}

void pixels() {
  std::string path;
  while (std::getline(std::cin, path)) {
    try {
      const Image image = autoencoder::read_image(path);
      std::cout << image.width << " " << image.height << " " << image.channels << "\n";
      write(image);
    } catch (const autoencoder::Error& error) {
      std::cout << "error " << error.what() << std::endl;
    }
  }
}

void resize() {
  int width = 0;
  int height = 0;
  int channels = 0;
  int new_width = 0;
  int new_height = 0;
  while (std::cin >> width >> height >> channels >> new_width >> new_height) {
    std::cin.ignore(1);
    Image image(width, height, channels);
    std::cin.read(reinterpret_cast<char*>(image.pixels.data()),
                  static_cast<std::streamsize>(image.pixels.size()));
    write(autoencoder::resized(image, new_width, new_height));
  }
}

void batch(const std::string& folder, const std::vector<std::string>& paths) {
  autoencoder::Autoencoder model(autoencoder::contract, folder);
  std::vector<Image> images;
  for (const std::string& path : paths) {
    images.push_back(autoencoder::read_image(path));
  }
  const autoencoder::Tensors together = model.encode(images);
  const std::vector<float>& latents = together.at("latent").floats();
  auto next = latents.begin();
  float most = 0.0F;
  for (const Image& image : images) {
    const autoencoder::Tensors alone = model.encode({image});
    for (const float value : alone.at("latent").floats()) {
      most = std::max(most, std::abs(value - *next++));
    }
  }
  std::cout << (next == latents.end() ? most : INFINITY) << "\n";
}

}  // namespace

int main(int count, char** words) {
  const std::vector<std::string> given(words + 1, words + count);
  try {
    if (given.size() == 1 && given[0] == "pixels") {
      pixels();
    } else if (given.size() == 1 && given[0] == "resize") {
      resize();
    } else if (given.size() > 2 && given[0] == "batch") {
      batch(given[1], {given.begin() + 2, given.end()});
    } else {
      return 2;
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
