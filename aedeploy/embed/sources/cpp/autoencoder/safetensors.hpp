#pragma once

#include <filesystem>

#include "autoencoder/tensor.hpp"

namespace autoencoder {

/// All tensors of a safetensors file, by name. Throws an Error where it is damaged, or cut off, or has a
/// tensor of another type than float32, int64 and uint8; no length that it states is believed before it is
/// checked.
Tensors read_safetensors(const std::filesystem::path& path);

}  // namespace autoencoder
