// What the tests look at from within: pixels as they were decoded, resized, and turned into tensors.
//
//   app pixels IMAGE      WIDTH HEIGHT CHANNELS in a line, then the pixels
//   app resize            requests WIDTH HEIGHT CHANNELS NEW_WIDTH NEW_HEIGHT in a line and pixels, answered
//   with pixels app batch MODEL IMAGE…  the latents of several images at once, each through its own call too:
//   the largest difference

#include <algorithm>
#include <cmath>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "autoencoder/autoencoder.hpp"
#include "autoencoder/contract.hpp"
#include "autoencoder/image_file.hpp"
#include "autoencoder/resample.hpp"

namespace {

using autoencoder::Image;

void write(const Image& image) {
  std::cout.write(reinterpret_cast<const char*>(image.pixels.data()),
                  static_cast<std::streamsize>(image.pixels.size()));
  std::cout.flush();
}

void pixels(const std::string& path) {
  const Image image = autoencoder::read_image(path);
  std::cout << image.width << " " << image.height << " " << image.channels << "\n";
  write(image);
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

void batch(const std::string& model, const std::vector<std::string>& paths) {
  autoencoder::Autoencoder encoder(autoencoder::contract, model);
  std::vector<Image> images;
  for (const std::string& path : paths) {
    images.push_back(autoencoder::read_image(path));
  }
  const std::vector<float> together = encoder.encode(images).at("latent").floats();
  auto next = together.begin();
  float most = 0.0F;
  for (const Image& image : images) {
    for (const float alone : encoder.encode({image}).at("latent").floats()) {
      most = std::max(most, std::abs(alone - *next++));
    }
  }
  std::cout << (next == together.end() ? most : INFINITY) << "\n";
}

}  // namespace

int main(int count, char** words) {
  const std::vector<std::string> given(words + 1, words + count);
  try {
    if (given.size() == 2 && given[0] == "pixels") {
      pixels(given[1]);
    } else if (given.size() == 1 && given[0] == "resize") {
      resize();
    } else if (given.size() > 2 && given[0] == "batch") {
      batch(given[1], {given.begin() + 2, given.end()});
    } else {
      return 2;
    }
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
