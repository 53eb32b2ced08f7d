#pragma once

#include <ostream>

#include "autoencoder/autoencoder.hpp"

namespace autoencoder {

/// Whether this build, on this machine, with these files, computes what the bundle promises: the digest of
/// every file, then the golden vectors through every graph. Reports a line a check.
bool self_test(Autoencoder& model, std::ostream& report);

}  // namespace autoencoder
