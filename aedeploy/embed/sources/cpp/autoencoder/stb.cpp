// The implementation of stb_image and stb_image_write, with only what image_file.cpp has a use for: of the
// decoders those for formats whose pixels come out as Pillow's, and not those in which releases had flaws.

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include "autoencoder/stb.hpp"
