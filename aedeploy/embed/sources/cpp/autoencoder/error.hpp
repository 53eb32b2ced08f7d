#pragma once

#include <stdexcept>

namespace autoencoder {

/// What went wrong and what to do about it, in one sentence for a person.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace autoencoder
