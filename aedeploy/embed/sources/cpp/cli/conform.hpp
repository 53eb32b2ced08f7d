#pragma once

#include <istream>
#include <ostream>

#include "autoencoder/autoencoder.hpp"

namespace cli {

/// Answers requests of the conformance protocol, version 1, until `in` ends; see README.md. Throws an Error
/// where what comes in is not the protocol: nothing that follows could be made sense of.
void conform(autoencoder::Autoencoder& model, std::istream& in, std::ostream& out);

}  // namespace cli
